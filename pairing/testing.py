"""Fakes for whoever builds on the pairing session: a log and a registrar in memory, and a method without a network."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
from msgspec import Struct

from pairing.errors import RefusedByPersonError, WrongPinError
from pairing.methods.method import AttemptContext, Follows, Input, SearchContext
from pairing.session.log import Activation, Entry, JoinRefusedError, Secrets, Stored
from pairing.session.states import Candidate, SessionState


class FakeActivation(Struct, frozen=True):
    """What a `FakeMethod` hands over for registration."""

    device_id: str
    trust: str = "pin"


class MemoryLog:
    """A `SessionLog` that keeps JSON. `broken` makes every write fail, `broken_for` those of the sessions named."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.history: dict[str, list[Entry]] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.broken = False
        self.broken_for: set[str] = set()

    def state(self, session_id: str) -> SessionState:
        return msgspec.json.decode(self.rows[session_id], type=SessionState)

    def _keep(self, state: SessionState) -> None:
        if self.broken or state.id in self.broken_for:
            raise OSError("disk full")
        self.rows[state.id] = msgspec.json.encode(state)

    async def create(self, state: SessionState, secrets: Secrets) -> None:
        await asyncio.sleep(0)
        self._keep(state)
        self.secrets[state.id] = dict(secrets)
        self.history[state.id] = []

    async def append(self, session_id: str, entry: Entry, state: SessionState) -> None:
        await asyncio.sleep(0)
        self._keep(state)
        self.history[session_id].append(entry)
        if state.state.terminal:
            self.secrets.pop(session_id, None)

    async def open_sessions(self) -> Sequence[Stored]:
        await asyncio.sleep(0)
        states = (self.state(session_id) for session_id in self.rows)
        return [Stored(state=s, secrets=self.secrets.get(s.id, {})) for s in states if not s.state.terminal]


class MemoryRegistrar:
    """A `Registrar` that registers in a dict. `refuses` names a cause; `broken` raises; `hold` makes `join` wait.

    With `late` set, a `join` that is cancelled or fails has committed nonetheless.
    """

    def __init__(self) -> None:
        self.homes: dict[tuple[str, int], str] = {}
        self.joins = 0
        self.refuses: str | None = None
        self.broken = False
        self.late = False
        self.hold = asyncio.Event()
        self.hold.set()
        self.entered = asyncio.Event()

    async def join(self, session: SessionState, attempt: int, activated: Activation) -> str:
        self.entered.set()
        key = (session.id, attempt)
        if self.refuses is not None:
            raise JoinRefusedError(self.refuses)
        try:
            await self.hold.wait()
            if self.broken:
                raise OSError("disk full")
        finally:
            if self.late:
                self._commit(key, activated.device_id)
        self._commit(key, activated.device_id)
        return self.homes[key]

    def _commit(self, key: tuple[str, int], device: str) -> None:
        if key not in self.homes:
            self.joins += 1
            self.homes[key] = f"home-{device}"

    async def joined(self, session: SessionState, attempt: int) -> str | None:
        await asyncio.sleep(0)
        return self.homes.get((session.id, attempt))


class FakeMethod:
    """A `Method` that hears the given candidates and proves them with a PIN ("pin" candidates) or a code.

    `pins` are the right PINs of those that have one of their own. It passes the points search, ready, heard, connect,
    proving, proven, told, in this order. At a point of `hold` it waits until cancelled (`reached` tells); at one of
    `fail` it raises that error. `open` counts what is open: 0 when it has been stopped.
    """

    inputs: tuple[Input, ...] = ()

    def __init__(
        self, *candidates: Candidate, name: str = "fake", right_pin: str = "1234", follows: Follows | None = None
    ) -> None:
        self.name = name
        self.follows = follows
        self.candidates = candidates
        self.right_pin = right_pin
        self.pins: dict[str, str] = {}
        self.ends = False
        self.hold: set[str] = set()
        self.fail: dict[str, Exception] = {}
        self.reached: dict[str, asyncio.Event] = {}
        self.open = 0

    def at(self, point: str) -> asyncio.Event:
        """Set when the method has come to this point."""
        return self.reached.setdefault(point, asyncio.Event())

    async def _pass(self, point: str) -> None:
        self.at(point).set()
        if point in self.fail:
            raise self.fail[point]
        if point in self.hold:
            await asyncio.Event().wait()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    async def search(self, context: SearchContext) -> None:
        with self._opened():
            await self._pass("search")
            await context.ready()
            await self._pass("ready")
            for candidate in self.candidates:
                await context.heard(candidate)
            await self._pass("heard")
            if not self.ends:
                await asyncio.Event().wait()

    async def attempt(self, context: AttemptContext) -> None:
        with self._opened():
            await self._pass("connect")
            await context.note("connecting")
            if context.candidate.auth == "pin":
                if await context.pin() != self.pins.get(context.candidate.id, self.right_pin):
                    raise WrongPinError
                await self._pass("proving")
            else:
                await self._pass("proving")
                if not await context.confirm("123456"):
                    raise RefusedByPersonError
            await self._pass("proven")
            await context.join(FakeActivation(context.candidate.id))
            await self._pass("told")
