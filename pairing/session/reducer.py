"""The session's state machine: one table, one pure function.

An event of the session is looked up by the session's state, an event of an attempt by that attempt's. A pair without a
transition is ignored: the very same state comes back, with no effects.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from msgspec import structs

from pairing.session import events as ev
from pairing.session.attempting import (
    attempt_ended,
    attempt_failed,
    code_shown,
    confirmed,
    not_registered,
    noted,
    pin_asked,
    pin_given,
    proven,
    registered,
    undone,
)
from pairing.session.ending import Outcome
from pairing.session.searching import broken, cancel, chosen, expire, finish_up, heard, lost, settled
from pairing.session.states import SessionState, State
from pairing.session.turns import begin, due, ready, resumed, search_ended, search_failed, search_noted

Transition: TypeAlias = Callable[[SessionState, Any, int], Outcome]


def _ignored(session: SessionState, event: ev.Event, now: int) -> Outcome:
    return session, ()


# fmt: off
_GRID: Final[dict[type[ev.Event], tuple[Transition, str]]] = {
    # The columns are the states in their order, x: the transition, dot: ignored.
    #                                    created, preparing, searching, found
    #                                    |    asking, proving, confirming, joining
    #                                    |    |    joined, failed, cancelled, expired
    ev.Begin:          (begin,          "x... .... ...."),
    ev.Ready:          (ready,          ".xxx xxxx ...."),
    ev.SearchNoted:    (search_noted,   ".xxx xxxx ...."),
    ev.Heard:          (heard,          ".xxx xxxx ...."),
    ev.Lost:           (lost,           ".xxx xxxx ...."),
    ev.Settled:        (settled,        "..x. .... ...."),
    ev.Chosen:         (chosen,         "..xx .... ...."),
    ev.Due:            (due,            ".xx. .... ...."),
    ev.SearchEnded:    (search_ended,   ".xxx xxxx ...."),
    ev.SearchFailed:   (search_failed,  ".xxx xxxx ...."),
    ev.Finish:         (finish_up,      "xxxx xxxx ...."),
    ev.Cancel:         (cancel,         "xxxx xxxx ...."),
    ev.Expire:         (expire,         "xxxx xxxx ...."),
    ev.Resumed:        (resumed,        "xxxx xxxx ...."),
    ev.Broken:         (broken,         "xxxx xxxx ...."),
    # of one attempt
    ev.Noted:          (noted,          ".... xxxx ...."),
    ev.PinAsked:       (pin_asked,      ".... .x.. ...."),
    ev.PinGiven:       (pin_given,      ".... x... ...."),
    ev.CodeShown:      (code_shown,     ".... .x.. ...."),
    ev.Confirmed:      (confirmed,      ".... ..x. ...."),
    ev.Proven:         (proven,         ".... .x.. ...."),
    ev.Registered:     (registered,     ".... ...x ...."),
    ev.NotRegistered:  (not_registered, ".... ...x ...."),
    ev.Undone:         (undone,         ".... ...x ...."),
    ev.AttemptEnded:   (attempt_ended,  ".... xxxx ...."),
    ev.AttemptFailed:  (attempt_failed, ".... xxxx ...."),
}
# fmt: on


def _table() -> Iterator[tuple[tuple[State, type[ev.Event]], Transition]]:
    for event, (transition, marks) in _GRID.items():
        for state, mark in zip(State, marks.replace(" ", ""), strict=True):
            yield (state, event), transition if mark == "x" else _ignored


TABLE: Final[dict[tuple[State, type[ev.Event]], Transition]] = dict(_table())

WHILE_CLOSING: Final = (
    ev.Resumed,
    ev.Broken,
    ev.Noted,
    ev.Registered,
    ev.NotRegistered,
    ev.Undone,
    ev.AttemptEnded,
    ev.AttemptFailed,
)
"""What still counts once the end is decided and a registration is awaited."""


def reduce(session: SessionState, event: ev.Event, now: int) -> Outcome:
    """The session after `event` at `now` (ms), and what to do once that is on disk.

    The very same `session` object comes back for an event that means nothing now. Past its deadline a session expires,
    whatever else is told it.
    """
    due = now >= session.expires_at and not session.state.terminal and session.closing is None
    if not due or isinstance(event, ev.Expire):
        return _step(session, event, now)
    expired, effects = _step(session, ev.Expire(), now)
    after, more = _step(expired, event, now)
    return after, (*effects, *more)


def _step(session: SessionState, event: ev.Event, now: int) -> Outcome:
    if session.closing is not None and not isinstance(event, WHILE_CLOSING):
        return session, ()
    after, effects = TABLE[_state_for(session, event), type(event)](session, event, now)
    if after is not session:
        after = structs.replace(after, revision=session.revision + 1)
    return after, effects


def _state_for(session: SessionState, event: ev.Event) -> State:
    """The state an event is looked up by. One of an attempt that does not exist is one of an attempt long over."""
    if not isinstance(event, ev.AttemptEvent):
        return session.state
    attempt = session.attempt(event.attempt)
    return State.FAILED if attempt is None else attempt.state
