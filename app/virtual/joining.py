"""Where the device is paired: it listens on its port, or is spoken to over Bluetooth; one activation at a time.

See pairing/PROTOCOL.md, "Activation".
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import asdict

from app.virtual.memory import KeptState
from app.virtual.misbehaviour import PowerLost, misbehave, waiting
from app.virtual.parts import Parts
from pairing import wire
from pairing.activation import device_talk
from pairing.device import DeviceState
from pairing.errors import DeviceBusyError, PairingError
from pairing.pump import close, pump, write_frame
from pairing.talk import Progress

MAX_CONNECTIONS = 16


class Joining:
    """`free` is set while no hub speaks to the device."""

    def __init__(self, parts: Parts, died: Callable[[str], None]) -> None:
        self._parts = parts
        self._died = died
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._talking: asyncio.Task[None] | None = None
        self.free = asyncio.Event()
        self.free.set()
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises OSError."""
        place = self._parts.place
        if place.host:
            self._server = await asyncio.start_server(self.accept, place.host, place.port)
        else:
            self._server = await asyncio.start_server(self.accept, sock=_everywhere(place.port))
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def hang_up(self) -> None:
        """End the talk that is going on, if one is."""
        if self._talking is not None:
            self._talking.cancel()
            await asyncio.gather(self._talking, return_exceptions=True)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A hub is here, by whatever way; returns when it has gone."""
        if len(self._tasks) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(asyncio.CancelledError):
            if self._talking is not None:
                await self._say_busy(writer)
                return
            self._talking = task
            self.free.clear()
            try:
                await self._talk(reader, writer)
            finally:
                self._talking = None
                self.free.set()

    async def _say_busy(self, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(PairingError):
                await write_frame(writer, wire.failure(DeviceBusyError()))
        finally:
            await close(writer)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = self._parts
        state = parts.memory.state
        talk = device_talk(
            state, parts.facts, entropy=parts.entropy, pin=parts.pin, token=state.token, record=parts.record
        )
        try:
            binding = await pump(
                misbehave(talk, parts.how),
                reader,
                writer,
                on_progress=waiting(self._progress),
                on_commit=self._keep,
            )
        except PowerLost as loss:
            self._died(loss.step)
        except PairingError as error:
            parts.notices.tell("pairing_failed", code=error.code, step=error.step)
        else:
            parts.notices.tell("paired", hub=binding.hub_id, hub_name=binding.hub_name, epoch=binding.epoch)

    async def _progress(self, progress: Progress) -> None:
        details = {"code": progress.detail} if progress.step == "code" else {}
        self._parts.notices.tell(progress.step, **details)

    async def _keep(self, new: DeviceState) -> None:
        await self._parts.memory.change(lambda now: _with_answers(new, now))


def _with_answers(new: DeviceState, now: KeptState) -> DeviceState:
    """`new`, made from a state of a while ago, with the values of now and the answers given to the same hub since."""
    same = new.active is not None and now.active is not None and new.active.hub_id == now.active.hub_id
    answered = now.answered if same else new.answered
    ours = {name: getattr(now, name) for name in ("values", "network", "token", "change", "children")}
    return KeptState(**(asdict(new) | {"answered": answered} | ours))


def _everywhere(port: int) -> socket.socket:
    """One socket for IPv4 and IPv6, so that both have the same port."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))
