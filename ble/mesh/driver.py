"""Drives a stack: what must be on disk is written before anything is sent or told."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ble.errors import BleError
from ble.mesh.exchange import Event, KeyName
from ble.mesh.proxy import Whole
from ble.mesh.sequence import NumbersUsedUp
from ble.mesh.stack import DEFAULT_TTL, Stack
from ble.mesh.store import MeshStore

MAX_HEARD = 1024
"""Messages that wait to be read; what comes on top is dropped, as a radio would."""

IV_UPDATE_AT = 0x600000
"""Sequence numbers used when an IV update is begun: at 10 a second, ten days before the last one."""

logger = logging.getLogger(__name__)


class Driver:
    """`bearer` carries a message to the other end of the connection; None while there is none, and all is lost then.

    `told` is called with each event once its replay mark is on disk. `run` ends only by being cancelled, or with what
    the store raises.
    """

    def __init__(
        self,
        stack: Stack,
        store: MeshStore,
        told: Callable[[Event], None],
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.stack = stack
        self.bearer: Callable[[Whole], Awaitable[None]] | None = None
        self.dropped = 0
        self._store, self._told, self._clock, self._wall = store, told, clock, wall
        self._heard: deque[Whole] = deque()
        self._wake = asyncio.Event()
        self._saving = asyncio.Lock()

    def heard(self, whole: Whole) -> None:
        """Take in one message from the bearer."""
        if len(self._heard) >= MAX_HEARD:
            self.dropped += 1
            return
        self._heard.append(whole)
        self._wake.set()

    def wake(self) -> None:
        """The stack was given something to say."""
        self._wake.set()

    async def send(self, dst: int, payload: bytes, key: KeyName, *, ttl: int = DEFAULT_TTL, label: bytes = b"") -> int:
        """As the stack's `send`, with its numbers on disk."""
        while self._short:  # again, where the IV index has moved during the save
            await self.save()
        handle = self.stack.send(dst, payload, key, self._clock(), ttl=ttl, label=label)
        self._wake.set()
        return handle

    def cancel(self, handle: int) -> None:
        """Send no more of it."""
        self.stack.cancel(handle, self._clock())
        self._wake.set()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            self._read()
            await self.save()
            for whole in self.stack.take_out():
                await self._put(whole)
            for event in self.stack.take_events():
                self._told(event)
            await self._due()

    async def save(self) -> None:
        """Have on disk what has changed, and numbers to send with. Raises what the store does."""
        async with self._saving:
            if self.stack.changed:
                self.stack.changed = False
                await self._store.save(self.stack.state)
            await self._reserve()
            marks = self.stack.take_marks()
            if marks:
                await self._store.save_replay(marks)

    async def save_all(self) -> None:
        """Have the whole state on disk, after keys or nodes were changed."""
        self.stack.changed = True
        await self.save()

    @property
    def _short(self) -> bool:
        try:
            return self.stack.reserve_due() is not None
        except NumbersUsedUp:
            return False

    async def _reserve(self) -> None:
        try:
            due = self.stack.reserve_due()
        except NumbersUsedUp as error:
            logger.warning("mesh_numbers_used_up", extra={"cause": str(error)})
            return
        if due:
            await self._store.save_sequence(self.stack.state.iv, due)
            self.stack.reserve_written(due)

    def _read(self) -> None:
        now, wall = self._clock(), self._wall()
        while self._heard:
            try:
                self.stack.receive(self._heard.popleft(), now, wall)
            except BleError:
                self.dropped += 1
        self.stack.tick(now)
        self.stack.settle(wall)
        self._keep_iv(wall)

    def _keep_iv(self, wall: float) -> None:
        """Begin an IV update in good time, end it in time, and say so."""
        state = self.stack.state
        if state.iv.updating:
            moved = self.stack.finish_iv_update(wall)
        else:
            moved = state.reserved.upto > IV_UPDATE_AT and self.stack.begin_iv_update(wall)
        if moved:
            for index in state.net_keys:
                self.stack.beacon(index)

    async def _put(self, whole: Whole) -> None:
        if self.bearer is None:
            return
        try:
            await self.bearer(whole)
        except BleError as error:
            logger.debug("mesh_not_carried", extra={"cause": error.code})

    async def _due(self) -> None:
        at = self.stack.next_deadline
        wait = None if at is None else max(at - self._clock(), 0.0)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._wake.wait()
