"""Which methods search, and when: each at once, or in the place of others that have seen no sign of a device."""

from msgspec import structs

from pairing.session import events as ev
from pairing.session.causes import failure
from pairing.session.effects import Await, CheckJoined, Effect, StartSearch, StopSearch
from pairing.session.ending import Outcome, finish, finish_after, put, summed
from pairing.session.states import LIFETIME_MS, Later, SessionState, State, with_step

HEAR_MS = 3_000
"""After a restart: time for devices that are on the network by now to be heard before a method gives way."""
TELLING = frozenset(
    {
        "decoded_never_joined",
        "joined_never_announced",
        "setup_refused",
        "wifi_not_found",
        "wifi_password_wrong",
        "wrong_pop",
    }
)
"""Failures that tell of a device that was there: no other search that heard nothing is told of in their place."""
SIGN = "decoded"
"""A method's note that a device has taken in what it sends: it will not give way now."""


def begin(session: SessionState, event: ev.Begin, now: int) -> Outcome:
    if not event.methods:
        return finish(session, now, State.FAILED, failure("no_method", session.where()))
    session = with_step(session, now, "preparing")
    if len(event.methods) + len(event.later) > 1:
        names = {"methods": event.methods, "later": tuple(each.method for each in event.later)}
        session = with_step(session, now, "starting", **{key: " ".join(them) for key, them in names.items() if them})
    return _search(structs.replace(session, later=event.later), event.methods, now)


def _search(session: SessionState, methods: tuple[str, ...], now: int, *, at_least: int = 0) -> Outcome:
    started = structs.replace(session, state=State.PREPARING, methods=methods, searching=methods)
    turns = [Await(each.method, max(_left(session, each, now), at_least)) for each in session.later]
    return summed(started), (StartSearch(methods), *turns)


def _left(session: SessionState, later: Later, now: int) -> int:
    """Milliseconds until its turn; a clock that was set meanwhile makes it neither late nor endless."""
    return min(max(session.created_at + later.after_ms - now, 0), later.after_ms)


def ready(session: SessionState, event: ev.Ready, now: int) -> Outcome:
    session = with_step(session, now, "searching", method=event.method)
    if event.method not in session.ready:
        session = structs.replace(session, ready=(*session.ready, event.method))
    if session.state is State.PREPARING:
        session = structs.replace(session, state=State.SEARCHING)
    return session, ()


def search_noted(session: SessionState, event: ev.SearchNoted, now: int) -> Outcome:
    session = with_step(session, now, event.key, **event.detail)
    return structs.replace(session, sign=session.sign or event.key == SIGN), ()


def due(session: SessionState, event: ev.Due, now: int) -> Outcome:
    turn = next((each for each in session.later if each.method == event.method), None)
    if turn is None or session.sign or _seen(session):
        return session, ()
    return _hand_over(session, turn, now)


def overdue(session: SessionState, now: int) -> Outcome:
    """The only device there was a sign of has gone: whose turn came meanwhile has it now."""
    turn = next((each for each in session.later if not _left(session, each, now)), None)
    if turn is None or session.sign or _seen(session):
        return session, ()
    return _hand_over(session, turn, now)


def _seen(session: SessionState) -> bool:
    return bool(session.candidates or session.attempts)


def _hand_over(session: SessionState, turn: Later, now: int) -> Outcome:
    """Start the search whose turn it is, in the place of those it follows."""
    leaving = tuple(name for name in session.searching if name in turn.follows)
    staying = tuple(name for name in session.searching if name not in leaving)
    in_use = tuple(name for name in session.methods if name not in turn.follows)
    session = with_step(session, now, "switching", **{"from": " ".join(turn.follows), "to": turn.method})
    session = structs.replace(
        session,
        methods=(*in_use, turn.method),
        searching=(*staying, turn.method),
        later=tuple(each for each in session.later if each is not turn),
    )
    stop = (StopSearch(leaving),) if leaving else ()
    return _still_searching(session, staying, now), (*stop, StartSearch((turn.method,)))


def _still_searching(session: SessionState, methods: tuple[str, ...], now: int) -> SessionState:
    return with_step(session, now, "still_searching", methods=" ".join(methods)) if methods else session


def search_ended(session: SessionState, event: ev.SearchEnded, now: int) -> Outcome:
    if event.method not in session.searching:
        return session, ()
    left = tuple(name for name in session.searching if name != event.method)
    session = structs.replace(session, searching=left)
    turn = next((each for each in session.later if event.method in each.follows), None)
    if turn is not None and not _seen(session) and not set(left) & set(turn.follows):
        return _hand_over(session, turn, now)
    session = _still_searching(session, left, now)
    if left or session.open_attempts or (session.candidates and not session.attempts):
        return session, ()
    return ended_without(session, now)


def search_failed(session: SessionState, event: ev.SearchFailed, now: int) -> Outcome:
    """One method fewer. The session fails with it when it was the last and nothing was heard."""
    if event.method not in session.searching:
        return session, ()
    failed = failure(event.cause, session.where(), event.detail)
    session = with_step(session, now, "search_failed", method=event.method, cause=failed.cause)
    # One that was not ready cannot work here, which says nothing about the device.
    last = session.searching == (event.method,) and not session.later
    learned = event.method in session.ready or (last and session.missed is None)
    if learned and (session.missed is None or session.missed.cause not in TELLING or failed.cause in TELLING):
        session = structs.replace(session, missed=failed)
    return search_ended(session, ev.SearchEnded(event.method), now)


def ended_without(session: SessionState, now: int) -> Outcome:
    """Every search is over and nobody is being spoken to: the last failure stands, or nothing was found."""
    if session.later and not _seen(session):
        return _hand_over(session, session.later[0], now)
    last = next((a.failure for a in reversed(session.attempts) if a.failure is not None), None)
    last = last or session.missed or failure("not_found", session.where())
    return finish(session, now, State.FAILED, last)


def resumed(session: SessionState, event: ev.Resumed, now: int) -> Outcome:
    """Connections are gone: who was spoken to is searched for again; a registration in flight is looked up first."""
    gone = failure("hub_stopped", session.where())
    session = with_step(session, now, "resumed")
    session = structs.replace(session, expires_at=min(session.expires_at, now + LIFETIME_MS), searching=())
    checks: list[Effect] = []
    for attempt in session.open_attempts:
        if attempt.state is State.JOINING:
            checks.append(CheckJoined(attempt.number))
        else:
            session = put(session, structs.replace(attempt, state=State.FAILED, code="", failure=gone))
            session = structs.replace(session, chosen=attempt.candidate.id)
    session = _with_methods(structs.replace(session, candidates=()), event)
    if session.finishing and not checks:
        return finish_after(session, now)
    if session.closing or session.finishing or (checks and session.request.want == 1):
        return session, tuple(checks)
    if not session.methods:
        return finish(session, now, State.FAILED, gone)
    session, effects = _search(session, session.methods, now, at_least=HEAR_MS)
    return session, (*checks, *effects)


def _with_methods(session: SessionState, event: ev.Resumed) -> SessionState:
    """The session with the methods it had in use, and those still to come, as far as the hub has them yet."""
    there = {*event.methods, *(each.method for each in event.later)}
    in_use = tuple(name for name in session.methods if name in there)
    if not in_use:
        return structs.replace(session, methods=event.methods, later=event.later)
    return structs.replace(session, methods=in_use, later=tuple(e for e in session.later if e.method in there))


def search_again(session: SessionState, now: int) -> Outcome:
    """After an attempt that came to nothing, where another may come to something."""
    if session.searching:
        return session, ()
    if not session.methods:
        return finish(session, now, State.FAILED, failure("hub_stopped", session.where()))
    return _search(session, session.methods, now)
