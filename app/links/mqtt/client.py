"""One connection of a client: its socket, what it says in the order it says it, and how it ends."""

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from app.errors import DoorstepError
from app.links.mqtt import writing
from app.links.mqtt.errors import PacketError, Reason
from app.links.mqtt.pace import Pace
from app.links.mqtt.packets import V5, Ack, Connect, Disconnect, Publish, Subscribe, Unsubscribe, Will
from app.links.mqtt.ports import Principal
from app.links.mqtt.session import Outgoing
from app.links.mqtt.talk import Talk

if TYPE_CHECKING:
    from app.links.mqtt.endpoint import Endpoint

# What is written before an end has so long to go out.
LAST_WORDS_S = 3.0
# After five minutes of silence five probes, a minute apart.
TCP_KEEP_ALIVE = (
    ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 300),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), 60),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPCNT), 5),
)
_log = structlog.get_logger("doorstep.mqtt")


class Client(asyncio.Protocol):
    """What is read is dealt with by one task, which is there only while there is something to deal with."""

    __slots__ = (
        "_clogged_at",
        "_closing_at",
        "_ended",
        "_endpoint",
        "_gone",
        "_heard_at",
        "_is_over",
        "_pace",
        "_paused",
        "_task",
        "_transport",
        "address",
        "certificate",
        "implicit",
        "keep_alive",
        "over",
        "permits",
        "principal",
        "talk",
        "turn",
        "via",
        "will",
    )

    def __init__(self, endpoint: "Endpoint", via: str) -> None:
        self._endpoint = endpoint
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._paused = False
        self._heard_at = endpoint.time()
        self._pace = Pace(endpoint.limits.burst, self._heard_at)
        # For who waits until it may read on.
        self._ended: asyncio.Future[None] | None = None
        self._is_over = False
        self._clogged_at: float | None = None
        self._closing_at: float | None = None
        # Why it has ended; what was read before is still dealt with.
        self._gone = ""
        self.via = via
        self.talk = Talk(endpoint.limits)
        self.turn = 0
        self.address = ""
        self.certificate: bytes | None = None
        self.principal: Principal | None = None
        self.implicit: Sequence[str] = ()
        self.permits: dict[str, bool] | None = None
        self.keep_alive = 0
        self.will: Will | None = None
        self.over: asyncio.Future[None] | None = None

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read what it says, unless there are too many."""
        if not self.address and not self.enter(transport):
            return
        self._transport = transport  # type: ignore[assignment]  # uvloop's are none by inheritance
        tls = transport.get_extra_info("ssl_object")
        self.certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        self._transport.set_write_buffer_limits(self._endpoint.limits.unsent)  # type: ignore[union-attr]

    def enter(self, transport: asyncio.BaseTransport) -> bool:
        """Count it, or hang up: for who stands before it and has to know first."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's are none by inheritance
        self.address = str((transport.get_extra_info("peername") or ("?",))[0])
        if self._endpoint.entered(self):
            self._endpoint.wheel.put(self)
            return True
        self._gone = "refused"
        self._closing_at = self._heard_at
        self._transport.abort()  # type: ignore[union-attr]  # set above
        return False

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self.talk.session is not None:
            self._heard_at = self._endpoint.time()
        if self._closing_at is None:
            self._feed(data)

    def pause_writing(self) -> None:
        """It does not read as fast as it is written to: then it is not listened to either."""
        self.talk.clogged = True
        self._clogged_at = self._endpoint.time()
        self._endpoint.wheel.put(self)
        self._hold()

    def resume_writing(self) -> None:
        """It has caught up."""
        self.talk.clogged = False
        self._clogged_at = None
        self.talk.pump(self._endpoint.now_ms)
        self.flush()
        self._endpoint.wheel.put(self)
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Its socket is closed: what it has said is dealt with, and then it is over."""
        self._gone = self._gone or "lost"
        self._closing_at = self._closing_at or self._endpoint.time()
        self._transport = None
        self._endpoint.wheel.remove(self)
        self._endpoint.gone(self)
        self._work()

    # Wheel

    def due(self, now: float) -> float | None:
        """When it is late by what applies to it now."""
        limits = self._endpoint.limits
        if self._closing_at is not None:
            return self._closing_at + LAST_WORDS_S if self._transport is not None else None
        if self._clogged_at is not None:
            return self._clogged_at + limits.patience
        if self.talk.session is None:
            return self._heard_at + limits.handshake
        if self._paused:
            # It may be speaking: it is we who do not listen.
            self._heard_at = now
        return self._heard_at + 1.5 * self.keep_alive if self.keep_alive else None

    def late(self) -> None:
        """It is (MQTT-3.1.2-24, and 3.1.4 for who never says who it is)."""
        if self._closing_at is not None or self._clogged_at is not None:
            self._gone = self._gone or "lost"
            self._closing_at = self._closing_at or self._endpoint.time()
            if self._transport is not None:
                self._transport.abort()
        else:
            self.end(Reason.KEEP_ALIVE, "silent")

    def welcomed(self) -> None:
        """CONNECT was answered with yes: from now on its keep-alive counts, or where it wants none, that of TCP."""
        self._heard_at = self._endpoint.time()
        if not self.keep_alive and self._transport is not None:
            sock: socket.socket | None = self._transport.get_extra_info("socket")
            if sock is not None:
                for option, value in TCP_KEEP_ALIVE:
                    sock.setsockopt(*option, value)

    # Out

    def send(self, message: Outgoing) -> bool:
        """Towards the client; False when it was dropped."""
        if self._gone:
            return bool(message.seq)
        sent = self.talk.send(message, self._endpoint.now_ms)
        self.flush()
        return sent or bool(message.seq)

    def flush(self) -> None:
        """Write what is to be written."""
        talk = self.talk
        if talk.out:
            octets = talk.out[0] if len(talk.out) == 1 else b"".join(talk.out)
            talk.out.clear()
            if self._transport is not None and not self._transport.is_closing():
                self._transport.write(octets)
        if talk.finished:
            self._endpoint.keeping.finish(talk.finished)
            talk.finished = []

    def end(self, why: Reason, said: str) -> None:
        """Close it after what is written; a client of MQTT 5 is told why."""
        if self._closing_at is not None:
            return
        if self.talk.level == V5 and self.talk.session is not None and said != "client":
            self.talk.out.append(writing.disconnect(why))
        self.close(said)

    def close(self, said: str) -> None:
        """Close it after what is written."""
        if self._closing_at is not None:
            return
        self._gone = self._gone or said
        self._closing_at = self._endpoint.time()
        self.talk.deaf = True
        self.flush()
        if self._transport is not None:
            self._transport.close()
            self._endpoint.wheel.put(self)
        # Over for everybody else, however long its socket takes to close.
        self._work()

    def refuse(self, why: Reason) -> None:
        """Answer CONNECT with no."""
        self.talk.out.append(writing.connack_refused(why, self.talk.level))
        self.close("refused")

    @property
    def is_welcome(self) -> bool:
        """Its CONNECT was answered with yes."""
        return self.talk.session is not None

    @property
    def is_gone(self) -> bool:
        """It has ended, or is about to."""
        return bool(self._gone)

    # In

    def _feed(self, data: bytes) -> None:
        try:
            self.talk.feed(data, self._endpoint.now_ms)
        except PacketError as error:
            self._broken(error)
        self._work()
        self.flush()
        if self.talk.full:
            self._hold()

    def _broken(self, error: PacketError) -> None:
        _log.info("mqtt broken", address=self.address, why=error.why.name, detail=str(error))
        self._endpoint.counts["broken"] += 1
        if self.talk.session is None and error.why is Reason.VERSION:
            self.talk.out.append(writing.connack_refused(error.why, self.talk.level))
            self.close("protocol")
        else:
            self.end(error.why, "protocol")

    def _hold(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if self._paused and not self.talk.full and not self.talk.clogged:
            self._paused = False
            self._heard_at = self._endpoint.time()
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def _work(self) -> None:
        if self._gone and self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        if self._task is None and (self.talk.todo or (self._gone and not self._is_over)):
            self._task = self._endpoint.start(self._deal())

    async def _deal(self) -> None:
        talk = self.talk
        try:
            while talk.todo:
                await self._next()
                if not talk.todo and self._closing_at is None:
                    self._read_on()
                self.flush()
                self._go_on()
        except DoorstepError as error:
            # What was not acknowledged is said again on the next connection.
            _log.info("mqtt connection ended", address=self.address, code=error.code, detail=str(error))
            talk.todo.clear()
            self.end(Reason.UNAVAILABLE, "refused")
        except Exception as error:
            _log.exception("mqtt connection failed", address=self.address, error=type(error).__name__)
            talk.todo.clear()
            self.end(Reason.UNSPECIFIED, "refused")
        finally:
            self._task = None
        if self._gone and not self._is_over:
            self._is_over = True
            await self._endpoint.arrivals.left(self, self._gone)

    async def _keep_pace(self, messages: int) -> None:
        """What is too much for long waits unread."""
        limits, now = self._endpoint.limits, self._endpoint.time()
        wait = self._pace.wait(messages, limits.rate, limits.burst, now)
        if wait and not self._gone:
            self._ended = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._ended], timeout=wait)
            self._ended = None

    def _read_on(self) -> None:
        """What had to wait until there was room."""
        try:
            self.talk.feed(b"", self._endpoint.now_ms)
        except PacketError as error:
            self._broken(error)

    async def _next(self) -> None:
        todo = self.talk.todo
        work = todo[0]
        if type(work) is Publish:
            count = 1
            while count < len(todo) and type(todo[count]) is Publish:
                count += 1
            batch = todo[:count]
            del todo[:count]
            await self._endpoint.intake.publishes(self, batch)  # type: ignore[arg-type]  # by their type
            self.flush()
            await self._keep_pace(count)
            return
        del todo[0]
        match work:
            case Ack():
                await self._endpoint.intake.acknowledges(self, work)
            case Subscribe():
                await self._endpoint.intake.subscribes(self, work)
            case Unsubscribe():
                await self._endpoint.intake.unsubscribes(self, work)
            case Disconnect():
                self._endpoint.intake.disconnects(self, work)
            case Connect():
                await self._endpoint.arrivals.connect(self, work)
