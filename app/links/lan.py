"""The hub's end of the Doorstep link: paired devices connect here over TCP and stay (pairing/PROTOCOL.md, "Link").

Everything here goes by hardware ids, which are read off a device's key; `app.links.hearing` knows whose they are.
"""

import asyncio
import secrets
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import structlog

from app.clock import Clock
from app.errors import DoorstepError
from app.links.holding import Greeting
from pairing import wire
from pairing.channel import Channel
from pairing.errors import LinkRefusedError, PairingError
from pairing.identity import Identity
from pairing.link import Peer, hub_talk
from pairing.messages import (
    MAX_MESSAGE,
    SILENCE_LIMIT,
    Answer,
    Child,
    ChildLeft,
    FromDevice,
    FromGateway,
    FromHub,
    Hello,
    Hubs,
    Joining,
    Ping,
    Pong,
    Report,
    Reset,
    WifiAccepted,
    WifiRefused,
    decode_from_device,
    encode,
)
from pairing.pump import close, pump, read_frame

_log = structlog.get_logger("doorstep.link")

# Who has not proved anything yet. A handshake that stalls is dropped after 10 s (pairing.link.STEP_TIMEOUT), so 8 an
# address let a household of devices behind one bridge come back within seconds of each other.
MAX_STRANGERS = 256
MAX_STRANGERS_PER_ADDRESS = 8
# A device that reads nothing is dropped once this many octets wait for it: 1,000 commands of usual size.
MAX_UNSENT_BYTES = 256 * 1024
# What one device may say unasked. After a power cut reports come in hundreds, else in ones: more than this for long is
# a fault, and would push everybody's events and logs off the disk. What is too much waits unread.
MESSAGES_AT_ONCE = 500
MESSAGES_PER_SECOND = 20.0
# A device that is told to forget its binding says so when it has, after what it was just saying.
FORGETTING_S = 10.0


class Hearing(Protocol):
    """What the service does with what devices say; each is called in the order the device said it."""

    def up(self, hardware_id: str, hello: Hello) -> None:
        """It is linked and has said which firmware it runs."""

    def down(self, hardware_id: str) -> None:
        """It is linked no more."""

    async def greet(self, hardware_id: str, hello: Hello) -> Greeting:
        """Whether it stays here, and what it is told of its home's hubs; returns when that is on disk."""

    async def reported(self, hardware_id: str, report: Report) -> None:
        """Values as they are now; returns when they are on disk."""

    async def answered(self, hardware_id: str, answer: Answer) -> None:
        """To a command; returns when it is on disk."""

    async def reset(self, hardware_id: str) -> None:
        """Somebody has reset it by hand."""

    def departing(self, hardware_id: str) -> bool:
        """Whether it has left its home, and is let link for once, to be told to forget its binding."""

    def told_to_forget(self, hardware_id: str) -> None:
        """It was."""

    async def forgot(self, hardware_id: str) -> None:
        """It says that it has."""

    async def of_children(self, hardware_id: str, said: FromGateway) -> None:
        """It speaks of devices behind it."""

    async def of_network(self, hardware_id: str, said: WifiAccepted | WifiRefused) -> None:
        """It speaks of the network it was told to try."""


class LanLink:
    """A TCP server of links. `start` it, then `send` to who is online; `stop` leaves no task and no socket."""

    def __init__(self, identity: Identity, peers: Callable[[str], Peer | None], hearing: Hearing, clock: Clock) -> None:
        self._identity = identity
        self._peers = peers
        self._hearing = hearing
        self._clock = clock
        self._online: dict[str, _Linked] = {}
        self._strangers: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which is a free one where 0 was asked for. Raises OSError."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=wire.MAX_FRAME)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Close every link."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def __len__(self) -> int:
        """How many devices are linked right now."""
        return len(self._online)

    def is_online(self, hardware_id: str) -> bool:
        """Whether it is linked right now."""
        return hardware_id in self._online

    def address_of(self, hardware_id: str) -> str:
        """Where its connection comes from; empty when it is not linked."""
        linked = self._online.get(hardware_id)
        return "" if linked is None else linked.address

    def send(self, hardware_id: str, message: FromHub) -> bool:
        """Hand `message` to the device's connection, in order; False when it is not linked (any more)."""
        linked = self._online.get(hardware_id)
        return linked is not None and linked.send(message)

    def let_go(self, hardware_id: str) -> None:
        """Tell the device that it is unbound, if it is linked, and close its link once it has answered."""
        if (linked := self._online.pop(hardware_id, None)) is not None:
            self._hearing.down(hardware_id)
            self._tell_reset(linked)

    def send_away(self, hardware_id: str, hubs: Hubs | None) -> None:
        """Tell the device, if it is linked, which hub holds it now, and close its link once it has gone there."""
        if (linked := self._online.pop(hardware_id, None)) is not None:
            self._hearing.down(hardware_id)
            self._tell_elsewhere(linked, hubs)

    def _tell_reset(self, linked: "_Linked") -> None:
        if self._tell_last(linked, Reset()):
            self._hearing.told_to_forget(linked.hardware_id)

    def _tell_elsewhere(self, linked: "_Linked", hubs: Hubs | None) -> None:
        if hubs is None or not self._tell_last(linked, hubs):
            linked.end()

    def _tell_last(self, linked: "_Linked", message: Reset | Hubs) -> bool:
        linked.told_last = True
        # What does not answer (a device of before the answer was invented) is gone all the same.
        asyncio.get_running_loop().call_later(FORGETTING_S, linked.end)
        return linked.send(message)

    def drop(self, hardware_id: str) -> None:
        """Close its link without a word; whether it may come again is the next proof's matter."""
        if (linked := self._online.get(hardware_id)) is not None:
            linked.end()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = str((writer.get_extra_info("peername") or ("?",))[0])
        if self._strangers.total() >= MAX_STRANGERS or self._strangers[address] >= MAX_STRANGERS_PER_ADDRESS:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(asyncio.CancelledError):
            await self.serve(reader, writer, address)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> bool:
        """A link over this connection, to its end; whether the device was proven to be one of ours.

        `address` is what the connection comes from, or leads to: a LAN's, or that of a Bluetooth device.
        """
        try:
            hardware_id, channel = await self._prove(reader, writer, address)
        except LinkRefusedError as error:
            _log.info("link refused", address=address, reason=str(error))
            return False
        except PairingError as error:
            _log.info("link failed", address=address, code=error.code)
            return False
        linked = _Linked(hardware_id, channel, reader, writer)
        try:
            await self._stay(linked)
        except (PairingError, DoorstepError) as error:
            # What the store did not take was not acknowledged: the device says it again on its next link.
            _log.info("link ended", device=hardware_id, code=error.code)
        finally:
            self._leave(linked)
            await close(writer)
        return True

    async def _prove(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str
    ) -> tuple[str, Channel]:
        self._strangers[address] += 1
        try:
            talk = hub_talk(self._identity, self._peers, entropy=secrets.token_bytes)
            return await pump(talk, reader, writer, keep_open=True)
        finally:
            self._strangers[address] -= 1
            if not self._strangers[address]:
                del self._strangers[address]

    async def _stay(self, linked: "_Linked") -> None:
        hello = await linked.receive()
        if not isinstance(hello, Hello):
            return
        if self._hearing.departing(linked.hardware_id):
            self._tell_reset(linked)
            await self._listen_to(linked)
            return
        greeting = await self._hearing.greet(linked.hardware_id, hello)
        if not greeting.stays:
            self._tell_elsewhere(linked, greeting.hubs)
            await self._listen_to(linked)
            return
        peer = self._peers(linked.hardware_id)
        if peer is None or peer.removed:  # let go between the proof and now
            return
        linked.no_delay()
        # A device that reboots comes back before its old connection is missed: the newest proof is the device.
        if (former := self._online.pop(linked.hardware_id, None)) is not None:
            former.end()
        self._online[linked.hardware_id] = linked
        self._hearing.up(linked.hardware_id, hello)
        if greeting.hubs is not None:
            linked.send(greeting.hubs)
        await self._listen_to(linked)

    async def _listen_to(self, linked: "_Linked") -> None:
        monotonic = asyncio.get_running_loop().time
        pace = Pace(monotonic())
        while await self._hear(linked, message := await linked.receive()):
            if not isinstance(message, Answer) and (wait := pace.wait(monotonic())) > 0:
                await asyncio.sleep(wait)

    async def _hear_last(self, linked: "_Linked", message: FromDevice) -> bool:
        """Of a device that was told to forget, or to go elsewhere, nothing counts but that it has forgotten."""
        if not isinstance(message, Reset):
            return True
        await self._hearing.forgot(linked.hardware_id)
        return False

    async def _hear(self, linked: "_Linked", message: FromDevice) -> bool:
        if linked.told_last:
            return await self._hear_last(linked, message)
        match message:
            case Ping():
                linked.send(Pong(self._clock.now().ms))
            case Report():
                await self._hearing.reported(linked.hardware_id, message)
            case Answer():
                await self._hearing.answered(linked.hardware_id, message)
            case Joining() | Child() | ChildLeft():
                await self._hearing.of_children(linked.hardware_id, message)
            case WifiAccepted() | WifiRefused():
                await self._hearing.of_network(linked.hardware_id, message)
            case Reset():
                await self._hearing.reset(linked.hardware_id)
                return False
            case Hello():
                self._hearing.up(linked.hardware_id, message)
        return True

    def _leave(self, linked: "_Linked") -> None:
        if self._online.get(linked.hardware_id) is linked:
            del self._online[linked.hardware_id]
            self._hearing.down(linked.hardware_id)


class Pace:
    """When the next message may be read, seconds of a monotonic clock: `MESSAGES_AT_ONCE`, then so many a second."""

    def __init__(self, now: float) -> None:
        self._left = float(MESSAGES_AT_ONCE)
        self._at = now

    def wait(self, now: float) -> float:
        """Count a message read at `now`; how long (s) to leave the next one unread."""
        left = min(self._left + (now - self._at) * MESSAGES_PER_SECOND, float(MESSAGES_AT_ONCE))
        self._left, self._at = left - 1, now
        return max(0.0, -self._left / MESSAGES_PER_SECOND)


class _Linked:
    """One device's connection after its proof."""

    def __init__(
        self, hardware_id: str, channel: Channel, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.hardware_id = hardware_id
        self._channel = channel
        self._reader = reader
        self._writer = writer
        self.address = str((writer.get_extra_info("peername") or ("",))[0])
        self.told_last = False

    async def receive(self) -> FromDevice:
        """The next message; raises PairingError (silent for too long, gone, hostile)."""
        frame = await read_frame(self._reader, SILENCE_LIMIT, step="linked", limit=wire.MAX_FRAME)
        return decode_from_device(self._channel.open(frame))

    def send(self, message: FromHub) -> bool:
        """Write without waiting; False, and the link ends, when the device reads nothing. Raises nothing."""
        transport = self._writer.transport
        if transport.is_closing():
            return False
        if transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            _log.warning("device reads nothing", device=self.hardware_id)
            transport.abort()
            return False
        words = encode(message)
        if len(words) > MAX_MESSAGE:
            _log.warning("longer than a message may be", device=self.hardware_id, octets=len(words))
            return False
        try:
            transport.write(wire.pack(self._channel.seal(words)))
        except PairingError:
            transport.abort()
            return False
        return True

    def end(self) -> None:
        """Close after what is written."""
        self._writer.close()

    def no_delay(self) -> None:
        """A command is one small frame: it must not wait for another."""
        sock: socket.socket | None = self._writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
