"""Whatever the order of events: an end stays an end, a device joins once, and every session ends by its deadline."""

from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import structs

from pairing import errors
from pairing.session import effects as fx
from pairing.session import events as ev
from pairing.session.cause import NEXT_STEPS
from pairing.session.causes import CATALOGUE, next_step_text, text
from pairing.session.reducer import reduce
from pairing.session.states import (
    MAX_ATTEMPTS,
    MAX_CANDIDATES,
    MAX_STEPS,
    Candidate,
    Later,
    Request,
    SessionState,
    State,
    new_session,
)
from tests.pairing.session.sessions import LAMP, NOW, PLUG

NUMBERS = st.integers(0, 4)
TOLD = Candidate(id="d-told", method="ez", addresses=("192.0.2.1", "192.0.2.2"), port=1, has_token=True)
COPIED = structs.replace(TOLD, addresses=("192.0.2.3",))
CANDIDATES = st.sampled_from([LAMP, PLUG, TOLD, COPIED, Candidate(id="d-pinned", method="ez", auth="pin", port=1)])
CAUSES = st.sampled_from([*CATALOGUE, "made_up"])
METHODS = st.sampled_from(["wired", "ez", "ap"])
AP = Later(method="ap", follows=("ez",), after_ms=5_000)
PLANS = [(("wired",), ()), (("wired", "ez"), (AP,)), ((), ())]
NOTES = st.sampled_from(["connecting", "wrong_proof"])

EVENTS: st.SearchStrategy[ev.Event] = st.one_of(
    st.sampled_from([ev.Begin(*plan) for plan in PLANS]),
    st.builds(ev.Ready, METHODS),
    st.builds(ev.SearchNoted, st.sampled_from(["sending", "decoded"])),
    st.builds(ev.Heard, CANDIDATES),
    st.builds(ev.Lost, CANDIDATES.map(lambda c: c.id)),
    st.just(ev.Settled()),
    st.builds(ev.Chosen, CANDIDATES.map(lambda c: c.id)),
    st.builds(ev.Due, METHODS),
    st.builds(ev.SearchEnded, METHODS),
    st.builds(ev.SearchFailed, METHODS, CAUSES),
    st.just(ev.Finish()),
    st.just(ev.Cancel()),
    st.just(ev.Expire()),
    st.sampled_from([ev.Resumed(*plan) for plan in PLANS]),
    st.just(ev.Broken("storage_failed")),
    st.builds(ev.Noted, NUMBERS, NOTES),
    st.builds(ev.PinAsked, NUMBERS),
    st.builds(ev.PinGiven, NUMBERS),
    st.builds(ev.CodeShown, NUMBERS, st.just("123456")),
    st.builds(ev.Confirmed, NUMBERS, st.booleans()),
    st.builds(ev.Proven, NUMBERS, st.just("pin"), st.just("d-lamp")),
    st.builds(ev.Registered, NUMBERS, st.sampled_from(["dev-1", "dev-2"])),
    st.builds(ev.NotRegistered, NUMBERS, CAUSES),
    st.builds(ev.Undone, NUMBERS),
    st.builds(ev.AttemptEnded, NUMBERS),
    st.builds(ev.AttemptFailed, NUMBERS, CAUSES),
)


class Orders(RuleBasedStateMachine):
    """A session told anything in any order, and what a runner would have running for it."""

    session: SessionState
    now: int

    @initialize(want=st.sampled_from([1, 1, 2, 3]), device=st.sampled_from([None, None, "d-lamp"]))
    def begin(self, want: int, device: str | None) -> None:
        request = Request(home="h-1", account="a-1", want=want, device=device)
        self.now = NOW
        self.session = new_session("s-1", request, self.now)
        self.running: set[int] = set()
        self.searching: set[str] = set()
        self.joins: list[int] = []

    @rule(event=EVENTS, passed=st.integers(0, 5_000))
    def happens(self, event: ev.Event, passed: int) -> None:
        self.now += passed
        self._tell(event)

    # Rules that make progress likely: a random order rarely comes far by itself.
    @rule()
    def begins(self) -> None:
        self._tell(ev.Begin(("wired", "ez"), (AP,)))

    @rule(candidate=CANDIDATES)
    def a_device_is_there_and_chosen(self, candidate: Candidate) -> None:
        self._tell(ev.Heard(candidate))
        self._tell(ev.Chosen(candidate.id))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), outcome=st.sampled_from(["registered", "refused", "silent"]))
    def an_attempt_proves_itself(self, data: st.DataObject, outcome: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.running)))
        self._tell(ev.Proven(number, "pin", "d-lamp"))
        if outcome == "registered":
            self._tell(ev.Registered(number, f"dev-{number}"))
        elif outcome == "refused":
            self._tell(ev.NotRegistered(number, "not_allowed"))

    def _tell(self, event: ev.Event) -> None:
        before = self.session
        after, effects = reduce(before, event, self.now)
        if before.state.terminal:
            assert after is before
        if after is before:
            assert effects == ()
        if isinstance(event, ev.Resumed):
            # A start of the hub: nothing was running.
            self.running, self.searching = set(), set()
        if isinstance(event, ev.SearchEnded | ev.SearchFailed):
            self.searching.discard(event.method)
        for effect in effects:
            self._carry_out(effect)
        for attempt in after.attempts:
            if attempt.state.terminal:
                self.running.discard(attempt.number)
        for old in before.attempts:
            new = after.attempts[old.number - 1]
            assert not old.state.terminal or new == old
            assert old.device in (None, new.device)
        self.session = after

    def _carry_out(self, effect: Any) -> None:
        match effect:
            case fx.StartSearch(methods):
                assert not self.searching & set(methods)
                self.searching |= set(methods)
                assert not {"ez", "ap"} <= self.searching, "two on one radio"
            case fx.StopSearch(methods):
                self.searching -= set(methods)
            case fx.StartAttempt(number):
                assert number not in self.running
                self.running.add(number)
            case fx.StopAttempt(number):
                self.running.discard(number)
            case fx.Join(number):
                assert number not in self.joins, "registered twice"
                self.joins.append(number)

    @invariant()
    def limits_hold(self) -> None:
        session = self.session
        assert len(session.candidates) <= MAX_CANDIDATES
        assert len(session.attempts) <= MAX_ATTEMPTS
        assert len(session.steps) <= MAX_STEPS
        assert len(session.devices) <= session.request.want
        assert msgspec.json.decode(msgspec.json.encode(session), type=SessionState) == session

    @invariant()
    def an_end_has_nothing_open_and_a_reason(self) -> None:
        session = self.session
        if not session.state.terminal:
            assert session.failure is None
            return
        assert self.running == set()
        assert not self.searching
        assert session.open_attempts == ()
        assert (session.state is State.JOINED) == bool(session.devices) == (session.failure is None)
        if session.failure is not None:
            assert session.failure.cause in CATALOGUE
            assert text(session.failure)
            assert next_step_text(session.failure)

    @invariant()
    def what_searches_is_what_it_says(self) -> None:
        assert set(self.session.searching) == self.searching

    @invariant()
    def the_state_sums_up_the_attempts(self) -> None:
        states = {a.state for a in self.session.open_attempts}
        assert (self.session.state in states) == bool(states)

    @invariant()
    def it_ends_by_its_deadline(self) -> None:
        """At the deadline it ends, or as soon as the registrations under way have their outcome."""
        session, _ = reduce(self.session, ev.Ready("wired"), self.session.expires_at)
        for attempt in session.open_attempts:
            assert attempt.state is State.JOINING
            session, _ = reduce(session, ev.NotRegistered(attempt.number, "storage_failed"), session.expires_at)
        assert session.state.terminal


Orders.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestOrders = Orders.TestCase


def test_every_way_an_activation_fails_is_a_cause() -> None:
    of_links = {"link_refused", "channel_broken"}
    codes = {e.code for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.PairingError)}
    assert codes - of_links <= set(CATALOGUE)


def test_every_cause_has_its_texts() -> None:
    for cause in CATALOGUE.values():
        assert cause.next_step in NEXT_STEPS
        assert cause.recognised
        assert cause.text
    assert {c.next_step for c in CATALOGUE.values()} == set(NEXT_STEPS)
