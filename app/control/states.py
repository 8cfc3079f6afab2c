"""The life of a command, as one table. Pure."""

from enum import StrEnum


class State(StrEnum):
    """Where a command stands. The last three are its ends."""

    QUEUED = "queued"
    SENT = "sent"  # handed to the device's link
    DELIVERED = "delivered"  # the device has it and has not answered yet
    ANSWERED = "answered"
    FAILED = "failed"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        return self in ENDED


class Event(StrEnum):
    """What happens to a command."""

    SEND = "send"
    DELIVER = "deliver"
    ANSWER = "answer"
    FAIL = "fail"
    EXPIRE = "expire"


_ENDS = {Event.ANSWER: State.ANSWERED, Event.FAIL: State.FAILED, Event.EXPIRE: State.EXPIRED}
# What ends a command so.
ENDINGS = {state: event for event, state in _ENDS.items()}
ENDED = frozenset(ENDINGS)

# A command is sent anew at each link of its device until it is answered; what has been delivered stays delivered.
_TABLE: dict[State, dict[Event, State]] = {
    State.QUEUED: {Event.SEND: State.SENT, Event.DELIVER: State.DELIVERED, **_ENDS},
    State.SENT: {Event.SEND: State.SENT, Event.DELIVER: State.DELIVERED, **_ENDS},
    State.DELIVERED: {Event.SEND: State.DELIVERED, Event.DELIVER: State.DELIVERED, **_ENDS},
    State.ANSWERED: {},
    State.FAILED: {},
    State.EXPIRED: {},
}


def move(state: State, event: Event) -> State | None:
    """The state after `event`; None where it means nothing any more (a late answer to an expired command)."""
    return _TABLE[state].get(event)
