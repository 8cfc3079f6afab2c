"""The device's state in memory and on its disk, which always say the same; and who waits for it to change."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from app.virtual.body import Changes
from pairing.device import DeviceState, DeviceStore, FileDeviceStore, new_state
from pairing.messages import Answer
from pairing.talk import Entropy
from pairing.token import MAX_TOKEN_TRIES
from pairing.wifi import WifiNetwork


class KeptChild(Struct, frozen=True):
    """A device behind this one, and the answers it gave."""

    product: str
    values: Changes = field(default_factory=dict)
    answered: tuple[Answer, ...] = ()


class KeptState(DeviceState, frozen=True):
    """What every device keeps, and this one's values: a command's effect is written with its answer, or neither is.

    `network` and `token` are what a device with a radio was told, `change` the order it has the network by, if it was
    one; a wired one has none of them. `children` are those behind
    a gateway, by what it calls them: they are its hub's, and end with its binding.
    """

    values: Changes = field(default_factory=dict)
    network: WifiNetwork | None = None
    token: bytes = b""
    change: str = ""
    children: dict[str, KeptChild] = field(default_factory=dict)


class MemoryStore:
    """A `DeviceStore` that forgets everything with the process."""

    def __init__(self) -> None:
        self._state: DeviceState | None = None

    def load(self) -> DeviceState | None:
        return self._state

    def save(self, state: DeviceState) -> None:
        self._state = state


def file_store(path: Path) -> FileDeviceStore:
    """A device's disk in one file."""
    return FileDeviceStore(path, KeptState)


class Memory:
    """One writer at a time; a change that has begun is seen through, whoever is cancelled."""

    def __init__(self, state: KeptState, store: DeviceStore) -> None:
        self.state = state
        self._store = store
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._saving: set[asyncio.Task[KeptState]] = set()

    @classmethod
    async def open(cls, store: DeviceStore, entropy: Entropy) -> "Memory":
        """What the store holds, or a device at its first start. Raises StorageFailedError."""
        state = await asyncio.to_thread(store.load)
        if state is None:
            state = new_state(entropy)
            await asyncio.to_thread(store.save, state)
        return cls(_kept(state), store)

    async def change(self, fn: Callable[[KeptState], DeviceState]) -> KeptState:
        """Make `fn` of the state the state; returns when it is durable. Raises StorageFailedError."""
        task = asyncio.create_task(self._change(fn))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)
        return await asyncio.shield(task)

    async def _change(self, fn: Callable[[KeptState], DeviceState]) -> KeptState:
        async with self._lock:
            new = _kept(fn(self.state))
            if new != self.state:
                await asyncio.to_thread(self._store.save, new)
                self.state = new
                self._changed.set()
                self._changed = asyncio.Event()
            return self.state

    async def until(self, true: Callable[[KeptState], bool]) -> KeptState:
        """The first state of which this is true, the present one included."""
        while not true(self.state):
            await self._changed.wait()
        return self.state

    async def close(self) -> None:
        """Wait for what is being saved."""
        await asyncio.gather(*self._saving, return_exceptions=True)


def _kept(state: DeviceState) -> KeptState:
    """The state with what this device keeps besides: nothing after a physical reset, which leaves a bare one."""
    if not isinstance(state, KeptState):
        return KeptState(**asdict(state))
    if state.token_tries >= MAX_TOKEN_TRIES:
        return without_token(state)
    if state.children and not state.candidates:
        state = replace(state, children={})
    # A token is for one pairing.
    return replace(state, token=b"") if state.paired and state.token else state


def without_token(state: KeptState) -> KeptState:
    """Nobody came for it in time, or too many without it: it wants to be told anew."""
    return replace(state, token=b"", network=None, token_tries=0)
