"""Several devices in one session: each with its own steps, words and result; a token that is tried wrongly is dead."""

from msgspec import structs

from pairing.session import effects as fx
from pairing.session import events as ev
from pairing.session.reducer import reduce
from pairing.session.searching import MAX_TRIES_EACH
from pairing.session.states import MAX_ATTEMPTS, Candidate, Request, SessionState, State
from pairing.token import MAX_TOKEN_TRIES
from tests.pairing.session.sessions import LAMP, NOW, PLUG, after

SEVERAL = Request(home="h-1", account="a-1", want=3)
ONE = Request(home="h-1", account="a-1")
BEGUN = (ev.Begin(("ez",)), ev.Ready("ez"))
TOLD = structs.replace(LAMP, method="ez", addresses=("192.0.2.1",), has_token=True)
COPY = structs.replace(TOLD, addresses=("192.0.2.66",))


def device(number: int) -> Candidate:
    return structs.replace(TOLD, id=f"d-{number}", addresses=(f"192.0.2.{number}",))


def joined(number: int, proved: str) -> tuple[ev.Event, ...]:
    return ev.Proven(number, "first-use", proved), ev.Registered(number, f"dev-{number}"), ev.AttemptEnded(number)


def cause_of(session: SessionState) -> str:
    assert session.failure is not None
    return session.failure.cause


def test_the_failure_of_one_ends_neither_the_others_nor_the_session() -> None:
    session = after(*BEGUN, ev.Heard(LAMP), ev.Heard(PLUG), ev.AttemptFailed(1, "wrong_pin"), request=SEVERAL)
    assert [a.state for a in session.attempts] == [State.FAILED, State.PROVING]
    assert session.searching == ("ez",)


def test_the_end_says_how_many_joined_and_why_each_other_did_not() -> None:
    third = structs.replace(LAMP, id="d-third")
    heard = (ev.Heard(LAMP), ev.Heard(PLUG), ev.Heard(third))
    failed = (ev.AttemptFailed(2, "wrong_pin"), ev.AttemptFailed(3, "device_silent"))
    session = after(*BEGUN, *heard, *joined(1, "d-lamp"), *failed, ev.Finish(), request=SEVERAL)
    assert session.state is State.JOINED
    summary = {"devices": "dev-1", "joined": "1", "failed": "2", "causes": "wrong_pin device_silent"}
    assert session.steps[-1].detail == summary
    results = [(a.candidate.id, a.device) for a in session.results]
    assert results == [("d-lamp", "dev-1"), ("d-plug", None), ("d-third", None)]


def test_who_has_all_they_want_ends_it_once_those_spoken_to_are_in() -> None:
    before = after(*BEGUN, ev.Heard(LAMP), ev.Heard(PLUG), *joined(1, "d-lamp"), request=SEVERAL)
    session, effects = reduce(before, ev.Finish(), NOW)
    assert effects == (fx.StopSearch(("ez",)),)
    assert (session.state, session.finishing) == (State.PROVING, True)
    unheard, _ = reduce(session, ev.Heard(structs.replace(LAMP, id="d-third")), NOW)
    assert unheard is session
    for event in joined(2, "d-plug"):
        session, _ = reduce(session, event, NOW)
    assert (session.state, session.devices) == (State.JOINED, ("dev-1", "dev-2"))


def test_that_is_all_without_any_device_is_a_cancel() -> None:
    session = after(*BEGUN, ev.Heard(LAMP), ev.Finish(), ev.AttemptFailed(1, "wrong_pin"), request=SEVERAL)
    assert (session.state, cause_of(session)) == (State.CANCELLED, "cancelled")


def test_a_stop_of_the_hub_after_that_is_all_searches_for_nothing() -> None:
    joining = (ev.Heard(LAMP), ev.Heard(PLUG), ev.Proven(1, "pin", "d-lamp"), ev.Finish())
    session = after(*BEGUN, *joining, request=SEVERAL)
    session, effects = reduce(session, ev.Resumed(("ez",)), NOW)
    assert effects == (fx.CheckJoined(1),)
    session, effects = reduce(session, ev.Undone(1), NOW)
    assert (session.state, effects) == (State.CANCELLED, ())


def test_more_attempts_than_there_may_be_leave_those_under_way_alone() -> None:
    many = Request(home="h-1", account="a-1", want=MAX_ATTEMPTS)
    session = after(*BEGUN, ev.Heard(LAMP), request=many)
    for number in range(2, MAX_ATTEMPTS + 2):
        session, _ = reduce(session, ev.Heard(device(number)), NOW)
        session, _ = reduce(session, ev.AttemptFailed(number, "wrong_pin"), NOW)
        session, _ = reduce(session, ev.Lost(f"d-{number}"), NOW)
    assert len(session.attempts) == MAX_ATTEMPTS
    assert [a.number for a in session.open_attempts] == [1]
    for event in joined(1, "d-lamp"):
        session, _ = reduce(session, event, NOW)
    assert (session.state, session.devices) == (State.JOINED, ("dev-1",))


def test_a_device_joins_once_with_a_session() -> None:
    by_address = structs.replace(LAMP, id="192.0.2.1:4000")
    before = after(*BEGUN, ev.Heard(LAMP), *joined(1, "d-lamp"), ev.Heard(by_address), request=SEVERAL)
    session, effects = reduce(before, ev.Proven(2, "first-use", "d-lamp"), NOW)
    # The talk is told, so that the device forgets what it has just been offered.
    assert effects == (fx.Refuse(2, "token_used"),)
    session, _ = reduce(session, ev.AttemptFailed(2, "token_used"), NOW)
    assert session.attempts[1].failure is not None
    assert session.attempts[1].failure.cause == "token_used"
    assert session.devices == ("dev-1",)


def test_it_is_not_registered_twice_at_the_same_time_either() -> None:
    by_address = structs.replace(LAMP, id="192.0.2.1:4000")
    before = after(*BEGUN, ev.Heard(LAMP), ev.Heard(by_address), ev.Proven(1, "pin", "d-lamp"), request=SEVERAL)
    _, effects = reduce(before, ev.Proven(2, "pin", "d-lamp"), NOW)
    assert effects == (fx.Refuse(2, "token_used"),)


def test_one_who_copied_the_announcement_does_not_end_the_search_for_the_device() -> None:
    session = after(*BEGUN, ev.Heard(COPY), ev.Settled(), ev.AttemptFailed(1, "proof_failed"), request=ONE)
    assert (session.state, session.searching, session.candidates) == (State.PREPARING, ("ez",), ())
    for event in (ev.Ready("ez"), ev.Heard(TOLD), ev.Settled(), *joined(2, TOLD.id)):
        session, _ = reduce(session, event, NOW)
    assert (session.state, session.devices) == (State.JOINED, ("dev-2",))


def test_one_address_is_tried_so_often_and_the_others_go_on() -> None:
    session = after(*BEGUN, request=ONE)
    for number in range(1, MAX_TRIES_EACH + 1):
        for event in (ev.Heard(COPY), ev.Settled(), ev.AttemptFailed(number, "device_silent")):
            session, _ = reduce(session, event, NOW)
    ignored, _ = reduce(session, ev.Heard(COPY), NOW)
    assert ignored is session
    both = structs.replace(TOLD, addresses=(*COPY.addresses, *TOLD.addresses))
    session, _ = reduce(session, ev.Heard(both), NOW)
    session, _ = reduce(session, ev.Settled(), NOW)
    assert session.open_attempts[0].candidate.addresses == TOLD.addresses


def test_where_several_are_wanted_it_is_tried_again_as_soon_as_it_is_heard_elsewhere() -> None:
    events = (ev.Heard(COPY), ev.AttemptFailed(1, "proof_failed"), ev.Heard(COPY), ev.Heard(TOLD))
    session = after(*BEGUN, *events, request=SEVERAL)
    assert [a.candidate for a in session.attempts] == [COPY, TOLD]


def test_silence_at_the_only_address_ends_as_such() -> None:
    session = after(*BEGUN, request=ONE)
    for number in range(1, MAX_TRIES_EACH + 1):
        assert not session.state.terminal
        for event in (ev.Heard(TOLD), ev.Settled(), ev.AttemptFailed(number, "unreachable")):
            session, _ = reduce(session, event, NOW)
    assert (session.state, cause_of(session)) == (State.FAILED, "unreachable")


def test_a_device_on_a_cable_that_cannot_prove_itself_ends_the_session() -> None:
    session = after(*BEGUN, ev.Heard(LAMP), ev.Settled(), ev.AttemptFailed(1, "proof_failed"), request=ONE)
    assert (session.state, cause_of(session)) == (State.FAILED, "proof_failed")


def test_twenty_wrong_proofs_over_all_attempts_block_the_token() -> None:
    session = after(*BEGUN, request=Request(home="h-1", account="a-1", want=32))
    for number in range(1, 11):
        for event in (ev.Heard(device(number)), *(ev.Noted(number, "wrong_proof"),) * 2):
            assert not session.state.terminal
            session, effects = reduce(session, event, NOW)
    assert MAX_TOKEN_TRIES == 10 * 2
    assert (session.state, cause_of(session)) == (State.FAILED, "token_blocked")
    assert fx.StopAttempt(10) in effects


def test_a_token_that_is_blocked_takes_nothing_from_a_device_that_is_being_registered() -> None:
    session = after(*BEGUN, ev.Heard(device(1)), ev.Proven(1, "first-use", "d-1"), ev.Heard(device(2)), request=SEVERAL)
    for _ in range(MAX_TOKEN_TRIES):
        session, _ = reduce(session, ev.Noted(2, "wrong_proof"), NOW)
    assert session.closing is State.FAILED
    failed, _ = reduce(session, ev.NotRegistered(1, "storage_failed"), NOW)
    assert (failed.state, cause_of(failed)) == (State.FAILED, "token_blocked")
    session, _ = reduce(session, ev.Registered(1, "dev-1"), NOW)
    assert (session.state, session.devices) == (State.JOINED, ("dev-1",))
