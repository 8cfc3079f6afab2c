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
    effects: list[Effect] = [StopSearch(session.searching)] if session.searching else []
    attempts = []
    for attempt in session.attempts:
        if attempt.state.terminal:
            attempts.append(attempt)
            continue
        effects.append(StopAttempt(attempt.number))
        attempts.append(_closed(attempt, state, failed))
    session = structs.replace(
        session, attempts=tuple(attempts), searching=(), later=(), closing=None, closing_cause="", finishing=False
    )
    if session.devices:
        state, failed = State.JOINED, None
    session = with_step(session, now, state, **_summary(session, failed))
    return structs.replace(session, state=state, failure=failed), tuple(effects)


def _summary(session: SessionState, failed: Failure | None) -> dict[str, str]:
    """What the last step says: the cause, or who has joined; where several were wanted, how many and why not others."""
    detail = {"devices": " ".join(session.devices)} if failed is None else {"cause": failed.cause}
    if session.request.want == 1:
        return detail
    without = [last.failure.cause for last in session.results if last.failure is not None]
    counted = detail | {"joined": str(len(session.devices)), "failed": str(len(without))}
    return counted | ({"causes": " ".join(without)} if without else {})


def finish_after(session: SessionState, now: int) -> Outcome:
    """The person wanted no more, and nobody is spoken to any more."""
    return finish(session, now, State.CANCELLED, failure("cancelled", session.where()))


def close(session: SessionState, now: int, end: State, cause: str = "") -> Outcome:
    """End by cancel, deadline or for a cause: at once, but for registrations that may yet commit: those are awaited."""
    failed = failure(cause or end, session.where())
    effects: list[Effect] = [StopSearch(session.searching)] if session.searching else []
    session = structs.replace(session, searching=())
    pending = [a for a in session.open_attempts if a.state is State.JOINING and a.device is None and not a.failure]
    if not pending:
        outcome, more = finish(session, now, end, failed)
        return outcome, (*effects, *more)
    for attempt in session.open_attempts:
        if attempt not in pending:
            effects.append(StopAttempt(attempt.number))
            session = put(session, _closed(attempt, end, failed))
    return structs.replace(session, closing=end, closing_cause=cause), tuple(effects)


def finish_closing(session: SessionState, now: int, end: State) -> Outcome:
    return finish(session, now, end, failure(session.closing_cause or end, session.where()))


def attempt_closed(session: SessionState, number: int, state: State, failed: Failure | None) -> SessionState:
    """The session with that attempt ended; what this means for the session is for the caller to decide."""
    attempt = session.attempts[number - 1]
    return put(session, _closed(attempt, state, failed))
