"""How a session ends: one place where everything open is closed and the outcome is decided."""

from typing import TypeAlias

from msgspec import structs

from pairing.session.causes import failure
from pairing.session.effects import Effect, StopAttempt, StopSearch
from pairing.session.states import Attempt, Failure, SessionState, State, with_step

Outcome: TypeAlias = tuple[SessionState, tuple[Effect, ...]]

ENGAGED_ORDER = (State.ASKING, State.CONFIRMING, State.JOINING, State.PROVING)
"""Of several open attempts the one that needs the person most gives the session its state."""


def put(session: SessionState, attempt: Attempt) -> SessionState:
    """The session with this attempt in its place, and its own state summed up anew."""
    kept = list(session.attempts)
    kept[attempt.number - 1] = attempt
    return summed(structs.replace(session, attempts=tuple(kept)))


def summed(session: SessionState) -> SessionState:
    states = {a.state for a in session.open_attempts}
    engaged = next((s for s in ENGAGED_ORDER if s in states), None)
    if engaged is not None:
        return structs.replace(session, state=engaged)
    return structs.replace(session, state=State.SEARCHING) if session.state.engaged else session


def _closed(attempt: Attempt, state: State, failed: Failure | None) -> Attempt:
    if attempt.device is not None:
        return structs.replace(attempt, state=State.JOINED, code="", failure=None)
    return structs.replace(attempt, state=state, code="", failure=attempt.failure or failed)


def finish(session: SessionState, now: int, state: State, failed: Failure | None) -> Outcome:
    """End the session. With a device in the home it has joined, whatever ended it."""
    effects: list[Effect] = [StopSearch()] if session.searching else []
    attempts = []
    for attempt in session.attempts:
        if attempt.state.terminal:
            attempts.append(attempt)
            continue
        effects.append(StopAttempt(attempt.number))
        attempts.append(_closed(attempt, state, failed))
    session = structs.replace(session, attempts=tuple(attempts), searching=(), closing=None)
    if session.devices:
        state, failed = State.JOINED, None
    detail = {"devices": " ".join(session.devices)} if failed is None else {"cause": failed.cause}
    session = with_step(session, now, state, **detail)
    return structs.replace(session, state=state, failure=failed), tuple(effects)


def close(session: SessionState, now: int, end: State) -> Outcome:
    """End by cancel or deadline: at once, but for registrations that may yet commit: those are awaited (`closing`)."""
    failed = failure(end, session.where())
    effects: list[Effect] = [StopSearch()] if session.searching else []
    session = structs.replace(session, searching=())
    pending = [a for a in session.open_attempts if a.state is State.JOINING and a.device is None and not a.failure]
    if not pending:
        outcome, more = finish(session, now, end, failed)
        return outcome, (*effects, *more)
    for attempt in session.open_attempts:
        if attempt not in pending:
            effects.append(StopAttempt(attempt.number))
            session = put(session, _closed(attempt, end, failed))
    return structs.replace(session, closing=end), tuple(effects)


def finish_closing(session: SessionState, now: int, end: State) -> Outcome:
    return finish(session, now, end, failure(end, session.where()))


def attempt_closed(session: SessionState, number: int, state: State, failed: Failure | None) -> SessionState:
    """The session with that attempt ended; what this means for the session is for the caller to decide."""
    attempt = session.attempts[number - 1]
    return put(session, _closed(attempt, state, failed))
