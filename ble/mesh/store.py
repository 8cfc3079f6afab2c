"""Where a network's state is kept. Every save is awaited before what depends on it is sent or acted on."""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from ble.errors import BleError
from ble.mesh.iv import Iv
from ble.mesh.sequence import Reserved
from ble.mesh.state import MeshState


class StateUnreadable(BleError):
    """The file that is there holds no state of a network."""

    code = "state_unreadable"
    hint = "Put the file back from a backup."


class MeshStore(Protocol):
    """Keeps one state. Each save returns once it is durable."""

    async def load(self) -> MeshState | None:
        """What was saved; None where nothing was. Raises StateUnreadable."""
        ...

    async def save(self, state: MeshState) -> None:
        """Everything."""
        ...

    async def save_sequence(self, iv: Iv, reserved: Reserved) -> None:
        """IV index and reserved numbers, as one."""
        ...

    async def save_replay(self, marks: dict[int, int]) -> None:
        """The newest marks of these sources; those of others stay."""
        ...


class MemoryStore:
    """Keeps it for as long as the process lives: for tests, and for networks that do."""

    def __init__(self, state: MeshState | None = None) -> None:
        self._saved = msgspec.json.encode(state) if state else b""

    async def load(self) -> MeshState | None:
        return _decoded(self._saved) if self._saved else None

    async def save(self, state: MeshState) -> None:
        self._saved = msgspec.json.encode(state)

    async def save_sequence(self, iv: Iv, reserved: Reserved) -> None:
        state = _decoded(self._saved)
        state.iv, state.reserved = iv, reserved
        await self.save(state)

    async def save_replay(self, marks: dict[int, int]) -> None:
        state = _decoded(self._saved)
        state.replay.update(marks)
        await self.save(state)


class JsonStore:
    """Keeps it in a file of mode 0600, replaced as a whole, and on disk before a save returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._one = asyncio.Lock()

    async def load(self) -> MeshState | None:
        return await asyncio.to_thread(self._read)

    async def save(self, state: MeshState) -> None:
        async with self._one:
            await _to_the_end(partial(write_whole, self._path, msgspec.json.encode(state)))

    async def save_sequence(self, iv: Iv, reserved: Reserved) -> None:
        def change(state: MeshState) -> None:
            state.iv, state.reserved = iv, reserved

        async with self._one:
            await _to_the_end(partial(self._rewrite, change))

    async def save_replay(self, marks: dict[int, int]) -> None:
        async with self._one:
            await _to_the_end(partial(self._rewrite, lambda state: state.replay.update(marks)))

    def _read(self) -> MeshState | None:
        try:
            return _decoded(self._path.read_bytes())
        except FileNotFoundError:
            return None

    def _rewrite(self, change: Callable[[MeshState], None]) -> None:
        state = self._read()
        if state is None:
            raise StateUnreadable("nothing was saved yet")
        change(state)
        write_whole(self._path, msgspec.json.encode(state))


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file, of mode 0600: whole or not at all, and on disk."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def _to_the_end(work: Callable[[], None]) -> None:
    """Off the loop, and waited for even when cancelled: two writers of one file would undo one another."""
    writing = asyncio.ensure_future(asyncio.to_thread(work))
    cancelled = False
    while not writing.done():
        try:
            await asyncio.wait((writing,))
        except asyncio.CancelledError:
            cancelled = True
    writing.result()
    if cancelled:
        raise asyncio.CancelledError


def _decoded(data: bytes) -> MeshState:
    try:
        return msgspec.json.decode(data, type=MeshState)
    except msgspec.MsgspecError as error:
        raise StateUnreadable(str(error)) from error
