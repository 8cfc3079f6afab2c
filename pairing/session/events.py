"""What can happen to a session. No event carries a secret."""

from msgspec import Struct, field

from pairing.session.states import Candidate, Later


class Event(Struct, frozen=True, tag=True):
    """Something that happened to the session as a whole."""


class AttemptEvent(Event, frozen=True, tag=True):
    """Something that happened to one attempt, by its number."""

    attempt: int


class Begin(Event, frozen=True, tag=True):
    """The session is on disk: start. `methods` are those that search at once, `later` those whose turn may come."""

    methods: tuple[str, ...]
    later: tuple[Later, ...] = ()


class Ready(Event, frozen=True, tag=True):
    """A method has prepared itself (radio on, window open, browsing) and searches now."""

    method: str


class Heard(Event, frozen=True, tag=True):
    candidate: Candidate


class Lost(Event, frozen=True, tag=True):
    """A candidate said goodbye."""

    candidate: str


class Settled(Event, frozen=True, tag=True):
    """Long enough since the first candidate: whoever else is there has been heard."""


class Chosen(Event, frozen=True, tag=True):
    """The person chose this candidate."""

    candidate: str


class Due(Event, frozen=True, tag=True):
    """The time has come for a method that waits for its turn."""

    method: str


class SearchEnded(Event, frozen=True, tag=True):
    """A method's search has run its time."""

    method: str


class SearchFailed(Event, frozen=True, tag=True):
    method: str
    cause: str
    detail: dict[str, str] = field(default_factory=dict)


class SearchNoted(Event, frozen=True, tag=True):
    """A step of a method's search, to be shown."""

    key: str
    detail: dict[str, str] = field(default_factory=dict)


class Finish(Event, frozen=True, tag=True):
    """The person wants no further devices: those being spoken to are awaited, then it ends."""


class Cancel(Event, frozen=True, tag=True):
    """The person, or whoever may end the session, ends it."""


class Expire(Event, frozen=True, tag=True):
    """The deadline has passed."""


class Resumed(Event, frozen=True, tag=True):
    """The hub has started again and found this session open. Every connection it had is gone."""

    methods: tuple[str, ...]
    later: tuple[Later, ...] = ()


class Broken(Event, frozen=True, tag=True):
    """The session cannot go on for a reason of the hub's own (storage)."""

    cause: str


class Noted(AttemptEvent, frozen=True, tag=True):
    key: str
    detail: dict[str, str] = field(default_factory=dict)


class PinAsked(AttemptEvent, frozen=True, tag=True):
    """The device's label PIN is needed and not known."""


class PinGiven(AttemptEvent, frozen=True, tag=True):
    """The person gave a PIN (the runner holds it)."""


class CodeShown(AttemptEvent, frozen=True, tag=True):
    """The person must compare this code with the device's."""

    code: str


class Confirmed(AttemptEvent, frozen=True, tag=True):
    accepted: bool


class Proven(AttemptEvent, frozen=True, tag=True):
    """Both sides have proven themselves and the device is prepared: register it now."""

    trust: str
    device: str


class Registered(AttemptEvent, frozen=True, tag=True):
    """The device is in the home, durably."""

    device: str


class NotRegistered(AttemptEvent, frozen=True, tag=True):
    """The registration was refused or undone; `cause` says why. Nothing of it is on disk."""

    cause: str
    detail: dict[str, str] = field(default_factory=dict)


class Undone(AttemptEvent, frozen=True, tag=True):
    """After a restart: the registration this attempt was in never came to be."""


class AttemptEnded(AttemptEvent, frozen=True, tag=True):
    """The method is through with the device; its connection is closed."""


class AttemptFailed(AttemptEvent, frozen=True, tag=True):
    """The method gave up; its connection is closed."""

    cause: str
    detail: dict[str, str] = field(default_factory=dict)
