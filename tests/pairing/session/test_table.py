"""Every (state, event) pair: written down here a second time, by hand, as what must come of it."""

import msgspec
import pytest

from pairing.session import events as ev
from pairing.session.reducer import TABLE, reduce
from pairing.session.states import SessionState, State
from tests.pairing.session.sessions import LAMP, NOW, PLUG, in_state

S = State

EXAMPLES: dict[type[ev.Event], ev.Event] = {
    type(event): event
    for event in (
        ev.Begin(("wired",)),
        ev.Ready("wired"),
        ev.SearchNoted("sending"),
        ev.Heard(msgspec.structs.replace(PLUG, id="d-third")),
        ev.Lost(LAMP.id),
        ev.Settled(),
        ev.Chosen(LAMP.id),
        ev.Due("slow"),
        ev.SearchEnded("wired"),
        ev.SearchFailed("wired", "network_unavailable"),
        ev.Finish(),
        ev.Cancel(),
        ev.Expire(),
        ev.Resumed(("wired",)),
        ev.Broken("storage_failed"),
        ev.Noted(1, "connecting"),
        ev.PinAsked(1),
        ev.PinGiven(1),
        ev.CodeShown(1, "654321"),
        ev.Confirmed(1, True),
        ev.Proven(1, "first-use", "d-lamp"),
        ev.Registered(1, "dev-1"),
        ev.NotRegistered(1, "not_allowed"),
        ev.Undone(1),
        ev.AttemptEnded(1),
        ev.AttemptFailed(1, "device_silent"),
    )
}

LIVING = [s for s in State if not s.terminal]
SEEKING = [S.PREPARING, S.SEARCHING, S.FOUND]
SPOKEN = [S.ASKING, S.PROVING, S.CONFIRMING, S.JOINING]


def _same(states: list[State]) -> dict[State, State]:
    return {state: state for state in states}


# What each event leads to, by state; a state not named: nothing happens at all.
LEADS: dict[type[ev.Event], dict[State, State]] = {
    ev.Begin: {S.CREATED: S.PREPARING},
    ev.Ready: _same(SEEKING + SPOKEN) | {S.PREPARING: S.SEARCHING},
    ev.SearchNoted: _same(SEEKING + SPOKEN),
    ev.Heard: _same(SEEKING) | {S.PREPARING: S.SEARCHING},
    # The lost candidate is in the list wherever one has been heard.
    ev.Lost: _same([S.SEARCHING, S.FOUND, *SPOKEN]),
    ev.Settled: {S.SEARCHING: S.PROVING},
    ev.Chosen: {S.SEARCHING: S.PROVING, S.FOUND: S.PROVING},
    # Wherever a candidate is in sight no other method takes its turn.
    ev.Due: {S.PREPARING: S.PREPARING},
    # With a candidate in sight the end of the search ends nothing; with none in sight the next method has its turn.
    ev.SearchEnded: {S.PREPARING: S.PREPARING, S.SEARCHING: S.SEARCHING, S.FOUND: S.FOUND},
    ev.SearchFailed: {S.PREPARING: S.PREPARING, S.SEARCHING: S.SEARCHING, S.FOUND: S.FOUND},
    ev.Finish: dict.fromkeys(LIVING, S.CANCELLED) | _same(SPOKEN),
    ev.Cancel: dict.fromkeys(LIVING, S.CANCELLED) | {S.JOINING: S.JOINING},
    ev.Expire: dict.fromkeys(LIVING, S.EXPIRED) | {S.JOINING: S.JOINING},
    ev.Resumed: dict.fromkeys(LIVING, S.PREPARING) | {S.JOINING: S.JOINING},
    ev.Broken: dict.fromkeys(LIVING, S.FAILED),
    ev.Noted: _same(SPOKEN),
    ev.PinAsked: {S.PROVING: S.ASKING},
    ev.PinGiven: {S.ASKING: S.PROVING},
    ev.CodeShown: {S.PROVING: S.CONFIRMING},
    ev.Confirmed: {S.CONFIRMING: S.PROVING},
    ev.Proven: {S.PROVING: S.JOINING},
    ev.Registered: {S.JOINING: S.JOINING},
    ev.NotRegistered: {S.JOINING: S.JOINING},
    ev.Undone: {S.JOINING: S.PREPARING},
    ev.AttemptEnded: dict.fromkeys(SPOKEN, S.FAILED),
    ev.AttemptFailed: dict.fromkeys(SPOKEN, S.FAILED),
}


def _all_events() -> set[type[ev.Event]]:
    found = {c for c in ev.Event.__subclasses__() if c is not ev.AttemptEvent}
    return found | set(ev.AttemptEvent.__subclasses__())


def test_the_table_knows_every_pair() -> None:
    assert set(TABLE) == {(state, event) for state in State for event in _all_events()}
    assert set(EXAMPLES) == set(LEADS) == _all_events()


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_each_pair_leads_where_it_must(state: State, kind: type[ev.Event]) -> None:
    before = in_state(state)
    session, effects = reduce(before, EXAMPLES[kind], NOW)
    if state not in LEADS[kind]:
        assert session is before
        assert effects == ()
        return
    assert session.state is LEADS[kind][state]
    assert session.revision == before.revision + 1


@pytest.mark.parametrize("state", State)
def test_a_state_survives_being_stored_as_json(state: State) -> None:
    session = in_state(state)
    assert msgspec.json.decode(msgspec.json.encode(session), type=SessionState) == session
