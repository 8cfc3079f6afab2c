"""What the session does while it looks for devices: the transitions of events that concern it as a whole."""

from collections import Counter

from msgspec import structs

from pairing.session import events as ev
from pairing.session.causes import failure
from pairing.session.effects import Effect, Settle, StartAttempt, StopSearch
from pairing.session.ending import Outcome, close, finish, finish_after, put
from pairing.session.states import (
    MAX_ATTEMPTS,
    MAX_CANDIDATES,
    Attempt,
    Candidate,
    SessionState,
    State,
    with_step,
)
from pairing.session.turns import ended_without, overdue

SETTLE_MS = 1_000
"""Time given to other devices to be heard before the only one is taken to be the one meant."""
MAX_TRIES_EACH = 3
"""Tries at one address of one id: who answers there may have no more than the id, copied from an announcement."""
DOUBTFUL = frozenset(
    {"proof_failed", "unreachable", "connection_lost", "device_silent", "device_busy", "malformed_message"}
)
"""Failures after which the device that was given the token may yet be heard elsewhere, or try better."""


def heard(session: SessionState, event: ev.Heard, now: int) -> Outcome:
    """A candidate: taken at once where it is the one asked for or every one is; else others get time to be heard."""
    new = worth_trying(session, event.candidate)
    request = session.request
    engaged = session.state.engaged and request.want == 1
    if new is None or engaged or session.finishing:
        return session, ()
    if request.device not in (None, new.id) or _is_known(session, new):
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


def _is_known(session: SessionState, new: Candidate) -> bool:
    """Heard already, by whichever method: they hear the same network."""
    old = session.candidate(new.id)
    return old is not None and structs.replace(new, method=old.method) == old


def worth_trying(session: SessionState, new: Candidate) -> Candidate | None:
    """The candidate at those of its addresses that have not failed too often yet."""
    if not new.has_token:
        return new
    tries = Counter(
        address
        for attempt in session.attempts
        if attempt.candidate.id == new.id and is_doubtful(attempt)
        for address in attempt.candidate.addresses
    )
    left = tuple(address for address in new.addresses if tries[address] < MAX_TRIES_EACH)
    return structs.replace(new, addresses=left) if left else None


def is_doubtful(attempt: Attempt) -> bool:
    """Whether it failed in a way that another who announces the same could have made it fail."""
    return attempt.candidate.has_token and attempt.failure is not None and attempt.failure.cause in DOUBTFUL


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


def without_candidate(session: SessionState, candidate_id: str) -> SessionState:
    return structs.replace(session, candidates=tuple(c for c in session.candidates if c.id != candidate_id))


def lost(session: SessionState, event: ev.Lost, now: int) -> Outcome:
    if session.candidate(event.candidate) is None:
        return session, ()
    session = with_step(without_candidate(session, event.candidate), now, "lost", id=event.candidate)
    if session.candidates or session.state.engaged:
        return session, ()
    if session.state is State.FOUND:
        session = structs.replace(session, state=State.SEARCHING)
        if not session.searching:
            return ended_without(session, now)
    return overdue(session, now)


def settled(session: SessionState, event: ev.Settled, now: int) -> Outcome:
    if len(session.candidates) > 1:
        session = with_step(session, now, "choose", count=str(len(session.candidates)))
        return structs.replace(session, state=State.FOUND), ()
    if session.candidates:
        return engage(session, now, session.candidates[0])
    return (session, ()) if session.searching else ended_without(session, now)


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
        return close(session, now, State.FAILED, "too_many_tries")
    attempt = Attempt(number=number, candidate=candidate, started_at=now, asked=asked)
    session = put(structs.replace(session, attempts=(*session.attempts, attempt)), attempt)
    effects: tuple[Effect, ...] = ()
    if session.request.want == 1 and session.searching:
        session, effects = structs.replace(session, searching=()), (StopSearch(session.searching),)
    return session, (*effects, StartAttempt(number))


def engage_next(session: SessionState, now: int) -> Outcome:
    """Where several are wanted: take candidates not tried yet, as many as are still wanted."""
    effects: list[Effect] = []
    for candidate in session.candidates:
        enough = len(session.open_attempts) + len(session.devices) >= session.request.want
        if enough or len(session.attempts) == MAX_ATTEMPTS:
            break
        if _is_news(session, candidate):
            session, more = engage(session, now, candidate)
            effects += more
    return session, tuple(effects)


def _is_news(session: SessionState, candidate: Candidate) -> bool:
    """Not tried yet; or who answered last may have been another, and since then it was heard differently."""
    tries = [a for a in session.attempts if a.candidate.id == candidate.id]
    return not tries or (
        tries[-1].state is State.FAILED and is_doubtful(tries[-1]) and tries[-1].candidate != candidate
    )


def finish_up(session: SessionState, event: ev.Finish, now: int) -> Outcome:
    """No further devices; those being spoken to are awaited."""
    if session.finishing:
        return session, ()
    if not session.open_attempts:
        return finish_after(session, now)
    effects = (StopSearch(session.searching),) if session.searching else ()
    session = structs.replace(session, finishing=True, searching=(), later=())
    return with_step(session, now, "finishing", open=str(len(session.open_attempts))), effects


def cancel(session: SessionState, event: ev.Cancel, now: int) -> Outcome:
    return close(session, now, State.CANCELLED)


def expire(session: SessionState, event: ev.Expire, now: int) -> Outcome:
    return close(session, now, State.EXPIRED)


def broken(session: SessionState, event: ev.Broken, now: int) -> Outcome:
    return finish(session, now, State.FAILED, failure(event.cause, session.where()))
