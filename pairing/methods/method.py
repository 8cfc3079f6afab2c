"""What a method is: a search that hears of devices, and an attempt that speaks to one.

A method knows no session. It reports through the context it is given, each call of which returns after the session has
made it durable (a note only keeps its place before what comes after it: a talk need not wait for the disk to say what
it does); and it is cancelled at any await, after which nothing of it may be left open.
"""

from typing import Protocol

from msgspec import Struct

from pairing.errors import PairingError
from pairing.session.log import Activation, Secrets
from pairing.session.states import Candidate, Request


class Input(Struct, frozen=True, kw_only=True):
    """Something a method needs before it starts: secret ones come in `Secrets`, others in `Request.inputs`.

    `made`: the session makes it where it is not given.
    """

    name: str
    secret: bool = False
    optional: bool = False
    made: bool = False

    @property
    def required(self) -> bool:
        """Whether the method cannot be without it being given."""
        return not (self.optional or self.made)


TOKEN = Input(name="token", secret=True, made=True)
"""Of a method that carries the session's token to devices: in hex."""


class Follows(Struct, frozen=True, kw_only=True):
    """Where whatever works is wanted: the method takes the place of these, once they have seen no sign for `after`
    seconds or are at their end. Where none of them is in use it searches from the start, as methods do."""

    methods: tuple[str, ...]
    after: float


class MethodFailedError(PairingError):
    """A method gave up: `code` is a cause of the catalogue, `facts` are shown with it."""

    def __init__(self, code: str, *, step: str = "", **facts: str) -> None:
        super().__init__(code, step=step)
        self.code = code
        self.facts = facts


class Context(Protocol):
    """What search and attempt have in common."""

    @property
    def session_id(self) -> str: ...

    @property
    def request(self) -> Request: ...

    @property
    def secrets(self) -> Secrets:
        """The secrets the request came with, and what the person has given since."""
        ...

    async def note(self, key: str, /, **detail: str) -> None:
        """A step, to be shown to the person as it happens. Details are short and hold no secret."""
        ...


class SearchContext(Context, Protocol):
    async def ready(self) -> None:
        """Prepared: from now on a device can be heard."""
        ...

    async def heard(self, candidate: Candidate) -> None:
        """A device that could be added, or news of one already heard (same id)."""
        ...

    async def lost(self, candidate_id: str) -> None:
        """A device said goodbye."""
        ...


class AttemptContext(Context, Protocol):
    @property
    def number(self) -> int: ...

    @property
    def candidate(self) -> Candidate: ...

    async def pin(self) -> str:
        """The label PIN: what the request came with, or the person's answer."""
        ...

    async def confirm(self, code: str) -> bool:
        """Have the person compare the code; their word on it."""
        ...

    async def join(self, activated: Activation) -> str:
        """Register the device; its id, once that is durable. Raises JoinFailedError: nothing was kept."""
        ...


class JoinFailedError(MethodFailedError):
    """The device was not taken into the home."""


class Method(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def inputs(self) -> tuple[Input, ...]: ...

    @property
    def follows(self) -> Follows | None:
        """The methods it must not search beside; None where it may beside any."""
        ...

    async def search(self, context: SearchContext) -> None:
        """Prepare, say `ready`, report devices until the method's own patience is at its end; then return.

        Cancelled as soon as the session needs no further device, or another method takes its place. The note
        "decoded" says that a device has taken in what it sends: then none does. Raises MethodFailedError where it
        cannot search: before `ready` because it cannot work here, after it because no device came.
        """
        ...

    async def attempt(self, context: AttemptContext) -> None:
        """Speak to `context.candidate`: prove, confirm, and `context.join` once. Raises PairingError where that fails.

        Everything it opens is closed when it returns, raises or is cancelled.
        """
        ...
