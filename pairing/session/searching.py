"""What the session does while it looks for devices: the transitions of events that concern it as a whole."""

from msgspec import structs

from pairing.session import events as ev
from pairing.session.causes import failure
from pairing.session.effects import CheckJoined, Effect, Settle, StartAttempt, StartSearch, StopSearch
from pairing.session.ending import Outcome, close, finish, put, summed
from pairing.session.states import (
    LIFETIME_MS,
    MAX_ATTEMPTS,
    MAX_CANDIDATES,
    Attempt,
    Candidate,
    SessionState,
    State,
    with_step,
)

SETTLE_MS = 1_000
"""Time given to other devices to be heard before the only one is taken to be the one meant."""


def begin(session: SessionState, event: ev.Begin, now: int) -> Outcome:
    if not event.methods:
        return finish(session, now, State.FAILED, failure("no_method", session.where()))
    return _search(with_step(session, now, "preparing"), event.methods)


def _search(session: SessionState, methods: tuple[str, ...]) -> Outcome:
    started = structs.replace(session, state=State.PREPARING, methods=methods, searching=methods)
    return summed(started), (StartSearch(methods),)


def ready(session: SessionState, event: ev.Ready, now: int) -> Outcome:
    session = with_step(session, now, "searching", method=event.method)
    if session.state is State.PREPARING:
        session = structs.replace(session, state=State.SEARCHING)
    return session, ()


def search_noted(session: SessionState, event: ev.SearchNoted, now: int) -> Outcome:
    return with_step(session, now, event.key, **event.detail), ()


def heard(session: SessionState, event: ev.Heard, now: int) -> Outcome:
    """A candidate: taken at once where it is the one asked for or every one is; else others get time to be heard."""
    new = event.candidate
    request = session.request
    engaged = session.state.engaged and request.want == 1
    if engaged or request.device not in (None, new.id) or session.candidate(new.id) == new:
        return session, ()
    first = not session.candidates
    session, known = _with_candidate(session, new, now)
    if not known:
        return session, ()
    if session.state is State.PREPARING:
        session = structs.replace(session, state=State.SEARCHING)
    if request.want > 1:
        return engage_next(session, now)
    if new.id in (request.device, session.chosen) or request.host is not None:
        return engage(session, now, new)
    return session, (Settle(SETTLE_MS),) if first else ()


def _with_candidate(session: SessionState, new: Candidate, now: int) -> tuple[SessionState, bool]:
    """The session knowing `new`, and whether there was room for it."""
    old = session.candidate(new.id)
    if old is not None:
        kept = tuple(new if c.id == new.id else c for c in session.candidates)
        return structs.replace(session, candidates=kept), True
    if len(session.candidates) >= MAX_CANDIDATES:
        return session, False
    session = structs.replace(session, candidates=(*session.candidates, new))
    address = new.addresses[0] if new.addresses else ""
    detail = {"id": new.id, "method": new.method, "product": new.product, "name": new.name, "address": address}
    return with_step(session, now, "found", **{k: v for k, v in detail.items() if v}), True


def lost(session: SessionState, event: ev.Lost, now: int) -> Outcome:
    if session.candidate(event.candidate) is None:
        return session, ()
    kept = tuple(c for c in session.candidates if c.id != event.candidate)
    session = with_step(structs.replace(session, candidates=kept), now, "lost", id=event.candidate)
    if session.state is State.FOUND and not kept:
        session = structs.replace(session, state=State.SEARCHING)
        return _ended_without(session, now) if not session.searching else (session, ())
    return session, ()


def settled(session: SessionState, event: ev.Settled, now: int) -> Outcome:
    if len(session.candidates) > 1:
        session = with_step(session, now, "choose", count=str(len(session.candidates)))
        return structs.replace(session, state=State.FOUND), ()
    if session.candidates:
        return engage(session, now, session.candidates[0])
    return (session, ()) if session.searching else _ended_without(session, now)


def chosen(session: SessionState, event: ev.Chosen, now: int) -> Outcome:
    candidate = session.candidate(event.candidate)
    if candidate is None:
        return session, ()
    session = structs.replace(session, chosen=candidate.id)
    return engage(with_step(session, now, "chosen", id=candidate.id), now, candidate)


def engage(session: SessionState, now: int, candidate: Candidate, *, asked: bool = False) -> Outcome:
    """Start an attempt with the candidate; where one device is wanted, the search has done its work."""
    number = len(session.attempts) + 1
    if number > MAX_ATTEMPTS:
        return finish(session, now, State.FAILED, failure("too_many_tries", session.where()))
    attempt = Attempt(number=number, candidate=candidate, started_at=now, asked=asked)
    session = put(structs.replace(session, attempts=(*session.attempts, attempt)), attempt)
    effects: tuple[Effect, ...] = ()
    if session.request.want == 1 and session.searching:
        session, effects = structs.replace(session, searching=()), (StopSearch(),)
    return session, (*effects, StartAttempt(number))


def engage_next(session: SessionState, now: int) -> Outcome:
    """Where several are wanted: take candidates not tried yet, as many as are still wanted."""
    effects: list[Effect] = []
    for candidate in session.candidates:
        if session.state.terminal or len(session.open_attempts) + len(session.devices) >= session.request.want:
            break
        if all(a.candidate.id != candidate.id for a in session.attempts):
            session, more = engage(session, now, candidate)
            effects += more
    return session, tuple(effects)


def search_ended(session: SessionState, event: ev.SearchEnded, now: int) -> Outcome:
    if event.method not in session.searching:
        return session, ()
    session = structs.replace(session, searching=tuple(m for m in session.searching if m != event.method))
    if session.searching or session.open_attempts or (session.candidates and not session.attempts):
        return session, ()
    return _ended_without(session, now)


def search_failed(session: SessionState, event: ev.SearchFailed, now: int) -> Outcome:
    """One method fewer. The session fails with it when it was the last and nothing was heard."""
    if event.method not in session.searching:
        return session, ()
    where = session.where()
    session = with_step(session, now, "search_failed", method=event.method, cause=event.cause)
    others = tuple(m for m in session.searching if m != event.method)
    if others or session.candidates or session.attempts:
        return search_ended(session, ev.SearchEnded(event.method), now)
    return finish(session, now, State.FAILED, failure(event.cause, where, event.detail))


def _ended_without(session: SessionState, now: int) -> Outcome:
    """Every search is over and nobody is being spoken to: the last failure stands, or nothing was found."""
    last = next((a.failure for a in reversed(session.attempts) if a.failure is not None), None)
    return finish(session, now, State.FAILED, last or failure("not_found", session.where()))


def cancel(session: SessionState, event: ev.Cancel, now: int) -> Outcome:
    return close(session, now, State.CANCELLED)


def expire(session: SessionState, event: ev.Expire, now: int) -> Outcome:
    return close(session, now, State.EXPIRED)


def broken(session: SessionState, event: ev.Broken, now: int) -> Outcome:
    return finish(session, now, State.FAILED, failure(event.cause, session.where()))


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
    session = structs.replace(session, candidates=())
    if session.closing or (checks and session.request.want == 1):
        return structs.replace(session, methods=event.methods), tuple(checks)
    if not event.methods:
        return finish(session, now, State.FAILED, gone)
    session, effects = _search(session, event.methods)
    return session, (*checks, *effects)


def search_again(session: SessionState, now: int) -> Outcome:
    """After a restart, when a registration turned out never to have been."""
    if session.searching:
        return session, ()
    if not session.methods:
        return finish(session, now, State.FAILED, failure("hub_stopped", session.where()))
    return _search(session, session.methods)
