"""What the session does while a device is spoken to: the transitions of events that concern one attempt."""

from msgspec import structs

from pairing.session import events as ev
from pairing.session.causes import failure
from pairing.session.effects import Answer, Join, Refuse, SupplyPin
from pairing.session.ending import Outcome, attempt_closed, close, finish, finish_after, finish_closing, put
from pairing.session.searching import engage, engage_next, is_doubtful, without_candidate, worth_trying
from pairing.session.states import MAX_ATTEMPTS, Attempt, Candidate, Failure, SessionState, State, with_step
from pairing.session.turns import search_again
from pairing.token import MAX_TOKEN_TRIES

MAX_PIN_TRIES = 5
"""PINs a person may type in one session; a device counts its own tries besides, over all sessions."""
WRONG_PROOF = "wrong_proof"
"""A method's note that who answers at one of the candidate's addresses does not hold the session's token."""


def _move(session: SessionState, attempt: Attempt, state: State, code: str = "") -> SessionState:
    return put(session, structs.replace(attempt, state=state, code=code))


def _of(session: SessionState, event: ev.AttemptEvent) -> Attempt:
    return session.attempts[event.attempt - 1]


def noted(session: SessionState, event: ev.Noted, now: int) -> Outcome:
    session = with_step(session, now, event.key, event.attempt, **event.detail)
    counts = event.key == WRONG_PROOF and _of(session, event).candidate.has_token and session.closing is None
    return _count_wrong(session, now) if counts else (session, ())


def _count_wrong(session: SessionState, now: int) -> Outcome:
    """One more proof has failed under the token; the last one ends the session."""
    session = structs.replace(session, wrong_tokens=session.wrong_tokens + 1)
    if session.wrong_tokens < MAX_TOKEN_TRIES:
        return session, ()
    return close(session, now, State.FAILED, "token_blocked")


def pin_asked(session: SessionState, event: ev.PinAsked, now: int) -> Outcome:
    attempt = structs.replace(_of(session, event), asked=True)
    return with_step(_move(session, attempt, State.ASKING), now, "pin_needed", attempt.number), ()


def pin_given(session: SessionState, event: ev.PinGiven, now: int) -> Outcome:
    session = _move(session, _of(session, event), State.PROVING)
    return with_step(session, now, "pin_given", event.attempt), (SupplyPin(event.attempt),)


def code_shown(session: SessionState, event: ev.CodeShown, now: int) -> Outcome:
    session = _move(session, _of(session, event), State.CONFIRMING, event.code)
    return with_step(session, now, "confirm", event.attempt, code=event.code), ()


def confirmed(session: SessionState, event: ev.Confirmed, now: int) -> Outcome:
    session = _move(session, _of(session, event), State.PROVING)
    key = "confirmed" if event.accepted else "refused"
    return with_step(session, now, key, event.attempt), (Answer(event.attempt, event.accepted),)


def proven(session: SessionState, event: ev.Proven, now: int) -> Outcome:
    """Register it, unless the session has brought it in already: a token is for one joining of each device."""
    attempt = structs.replace(_of(session, event), trust=event.trust, proved=event.device)
    others = (a for a in session.attempts if a.number != attempt.number and a.proved == event.device)
    if any(a.device is not None or not a.state.terminal for a in others):
        return _refuse(session, attempt, "token_used", now)
    session = with_step(_move(session, attempt, State.JOINING), now, "joining", attempt.number, device=event.device)
    return session, (Join(event.attempt),)


def _refuse(session: SessionState, attempt: Attempt, cause: str, now: int) -> Outcome:
    """Not to be registered; the connection is given its time to tell the device so."""
    failed = failure(cause, session.where(attempt.number))
    session = _move(session, structs.replace(attempt, failure=failed), State.JOINING)
    session = with_step(session, now, "not_registered", attempt.number, cause=failed.cause)
    return session, (Refuse(attempt.number, failed.cause),)


def registered(session: SessionState, event: ev.Registered, now: int) -> Outcome:
    """In the home. The connection is given its time to tell the device so, unless the session is to end."""
    attempt = _of(session, event)
    if attempt.device is not None or attempt.failure is not None:
        return session, ()
    session = put(session, structs.replace(attempt, device=event.device))
    session = with_step(session, now, "registered", event.attempt, device=event.device)
    return _or_close(session, now, event.attempt)


def not_registered(session: SessionState, event: ev.NotRegistered, now: int) -> Outcome:
    """Not in the home. The connection is given its time to tell the device so, unless the session is to end."""
    attempt = _of(session, event)
    if attempt.device is not None or attempt.failure is not None:
        return session, ()
    failed = failure(event.cause, session.where(event.attempt), event.detail)
    session = put(session, structs.replace(attempt, failure=failed))
    session = with_step(session, now, "not_registered", event.attempt, cause=failed.cause)
    return _or_close(session, now, event.attempt)


def _or_close(session: SessionState, now: int, number: int) -> Outcome:
    if session.closing is None:
        return session, ()
    waiting = [a for a in session.open_attempts if a.number != number and a.device is None and a.failure is None]
    return (session, ()) if waiting else finish_closing(session, now, session.closing)


def undone(session: SessionState, event: ev.Undone, now: int) -> Outcome:
    attempt = _of(session, event)
    if attempt.device is not None:
        return session, ()
    failed = failure("hub_stopped", session.where(event.attempt))
    session = attempt_closed(session, event.attempt, State.FAILED, failed)
    if session.closing is not None:
        return _or_close(session, now, event.attempt)
    if session.finishing:
        return _go_on(session, now)
    return search_again(structs.replace(session, chosen=attempt.candidate.id), now)


def attempt_ended(session: SessionState, event: ev.AttemptEnded, now: int) -> Outcome:
    if _of(session, event).device is None:
        return _failed(session, now, event.attempt, failure("pairing_failed", session.where(event.attempt)))
    return _joined(session, now, event.attempt)


def attempt_failed(session: SessionState, event: ev.AttemptFailed, now: int) -> Outcome:
    """A device that is in the home already has joined: it learns of it when it connects (PROTOCOL.md, "Power loss")."""
    attempt = _of(session, event)
    if attempt.device is not None:
        return _joined(session, now, event.attempt)
    failed = attempt.failure or failure(event.cause, session.where(event.attempt), event.detail)
    return _failed(session, now, event.attempt, failed)


def _joined(session: SessionState, now: int, number: int) -> Outcome:
    session = attempt_closed(session, number, State.JOINED, None)
    if session.closing is not None:
        return _or_close(session, now, number)
    if len(session.devices) >= session.request.want:
        return finish(session, now, State.JOINED, None)
    return _go_on(session, now)


def _failed(session: SessionState, now: int, number: int, failed: Failure) -> Outcome:
    attempt = session.attempts[number - 1]
    session = with_step(session, now, "attempt_failed", number, cause=failed.cause)
    session = attempt_closed(session, number, State.FAILED, failed)
    if session.closing is not None:
        return _or_close(session, now, number)
    again = _once_more(session, attempt, failed)
    if again is not None:
        return engage(session, now, again, asked=attempt.asked)
    if session.request.want == 1:
        return _end_or_search(session, now, session.attempts[number - 1], failed)
    return _go_on(session, now)


def _end_or_search(session: SessionState, now: int, attempt: Attempt, failed: Failure) -> Outcome:
    """The one device wanted did not join, which ends the session; unless another answered in its name."""
    if _may_be_elsewhere(session, attempt):
        return search_again(without_candidate(session, attempt.candidate.id), now)
    if attempt.asked and failed.cause == "wrong_pin":
        failed = failure("too_many_tries", failed.step)
    return finish(session, now, State.FAILED, failed)


def _may_be_elsewhere(session: SessionState, attempt: Attempt) -> bool:
    if session.finishing or len(session.attempts) == MAX_ATTEMPTS or not is_doubtful(attempt):
        return False
    # Silence may be all there is; whoever answers wrongly is another than the one that was given the token.
    silent = attempt.failure is not None and attempt.failure.cause == "unreachable"
    return not silent or worth_trying(session, attempt.candidate) is not None


def _once_more(session: SessionState, attempt: Attempt, failed: Failure) -> Candidate | None:
    """The candidate to try again with another PIN of the person's, or with the PIN it turns out to need."""
    candidate = attempt.candidate
    if failed.cause == "pin_needed" and candidate.auth != "pin":
        return structs.replace(candidate, auth="pin")
    tries = sum(1 for a in session.attempts if a.candidate.id == candidate.id and a.asked)
    if failed.cause == "wrong_pin" and attempt.asked and tries < MAX_PIN_TRIES:
        return candidate
    return None


def _go_on(session: SessionState, now: int) -> Outcome:
    """Where several are wanted: the next, or wait for more, or end with what there is."""
    if session.finishing:
        return (session, ()) if session.open_attempts else finish_after(session, now)
    session, effects = engage_next(session, now)
    if session.open_attempts or (session.searching and len(session.attempts) < MAX_ATTEMPTS):
        return session, effects
    last = next((a.failure for a in reversed(session.attempts) if a.failure is not None), None)
    return finish(session, now, State.FAILED, last)
