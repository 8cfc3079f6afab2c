"""One connection's side of the protocol, without its socket: octets in, packets to be dealt with and octets out."""

from msgspec.structs import replace

from app.links.mqtt import writing
from app.links.mqtt.errors import Malformed, ProtocolBroken, Reason
from app.links.mqtt.limits import Limits
from app.links.mqtt.packets import (
    V5,
    V311,
    Ack,
    Connect,
    Disconnect,
    Kind,
    Packet,
    Ping,
    Publish,
    Subscribe,
    Unsubscribe,
)
from app.links.mqtt.reading import Frames, decode
from app.links.mqtt.session import Outgoing, Session

# Sockets are read in pieces of at most a quarter of it.
READ_AHEAD = 1 << 20

Work = Connect | Publish | Ack | Subscribe | Unsubscribe | Disconnect
"""What has to be dealt with in its order; the rest is answered at once."""


class Talk:
    """`feed` it what comes, deal with `todo` in order, write what is in `out`. Knows no clock: `now` is passed in (ms).

    `finished` are rows of messages that need not be kept any more.
    """

    __slots__ = (
        "_aliases",
        "_frames",
        "_largest",
        "_limits",
        "_window",
        "clogged",
        "deaf",
        "finished",
        "level",
        "out",
        "owed",
        "session",
        "todo",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._frames = Frames(min(limits.connect_packet, limits.packet))
        self._aliases: dict[int, str] | None = None
        self._window = 0
        self._largest: int | None = None
        self.level = V311
        self.session: Session | None = None
        self.todo: list[Work] = []
        self.out: list[bytes] = []
        self.finished: list[int] = []
        # QoS 1 and 2 messages the client waits for an answer to.
        self.owed = 0
        # It reads more slowly than it is written to.
        self.clogged = False
        # Until a CONNECT is answered, and after the end, nothing more is read.
        self.deaf = False

    @property
    def full(self) -> bool:
        """Enough waits to be dealt with: read no more for now."""
        return self.deaf or len(self.todo) >= self._limits.unread

    def feed(self, data: bytes, now: int) -> None:
        """Read what has come, as far as there is room for it; raises PacketError."""
        frames, todo, most = self._frames, self.todo, self._limits.unread
        if data:
            frames.feed(data)
        while not self.deaf and len(todo) < most:
            frame = frames.next()
            if frame is None:
                return
            packet = decode(*frame, self.level, self._limits)
            if type(packet) is Publish and self.session is not None:
                self._publish(packet)
            else:
                self._other(packet, now)
        # Nothing is read while it is not listened to; what is on its way all the same may not fill memory.
        if frames.held > max(2 * self._limits.packet, READ_AHEAD):
            raise Malformed("more than was asked for", Reason.TOO_LARGE)

    def _publish(self, packet: Publish) -> None:
        if packet.qos:
            self.owed += 1
            if self.owed > self._limits.window and self.level == V5:
                raise ProtocolBroken("more at once than it was told", Reason.RECEIVE_MAXIMUM)
        if packet.alias is not None:
            packet = self._named(packet, packet.alias)
        self.todo.append(packet)

    def _named(self, packet: Publish, alias: int) -> Publish:
        if alias > self._limits.aliases:
            raise ProtocolBroken("a topic alias beyond the maximum", Reason.TOPIC_ALIAS)
        self._aliases = self._aliases or {}
        if packet.topic:
            self._aliases[alias] = packet.topic
            return packet
        topic = self._aliases.get(alias)
        if topic is None:
            raise ProtocolBroken("a topic alias that stands for nothing", Reason.TOPIC_ALIAS)
        return Publish(
            topic, packet.payload, packet.qos, packet.retain, packet.dup, packet.packet_id, packet.properties
        )

    def _other(self, packet: Packet, now: int) -> None:
        if isinstance(packet, Connect):
            if self.session is not None:
                raise ProtocolBroken("a second CONNECT")
            # From here on it is refused in its own version's words.
            self.level = packet.level
            self.deaf = True
            self.todo.append(packet)
            return
        if self.session is None:
            raise ProtocolBroken("nothing may come before CONNECT")
        match packet:
            case Ping():
                self.out.append(writing.PINGRESP)
            case Ack():
                self._ack(packet, self.session, now)
            case Disconnect():
                self.deaf = True
                self.todo.append(packet)
            case _:
                self.todo.append(packet)

    def _ack(self, ack: Ack, session: Session, now: int) -> None:
        message = session.flight.get(ack.packet_id)
        if ack.kind is Kind.PUBREL:
            self.todo.append(ack)
        elif ack.kind is Kind.PUBREC and ack.code < 0x80:
            # Where it has a row, that the client has it is written first: PUBREL is `release`d then.
            if message is not None and message.qos == 2 and message.seq and not message.released:
                self.todo.append(ack)
            else:
                self.release(ack.packet_id)
        elif message is not None and message.qos == (1 if ack.kind is Kind.PUBACK else 2):
            self._done(session, message)
            self.pump(now)

    def release(self, packet_id: int) -> None:
        """Answer PUBREC; the client may know of a message that we do not any more (MQTT-4.3.3-1)."""
        message = self.session.flight.get(packet_id) if self.session is not None else None
        if message is not None and message.qos == 2:
            message.released = True
        code = 0 if message is not None else Reason.PACKET_ID_UNKNOWN.code
        self.out.append(writing.ack(Kind.PUBREL, packet_id, code, self.level))

    def _done(self, session: Session, message: Outgoing) -> None:
        del session.flight[message.packet_id]
        self._dropped(session, message)
        message.end("acked")

    def _dropped(self, session: Session, message: Outgoing) -> None:
        if message.seq:
            session.kept -= 1
            session.kept_bytes -= message.size
            self.finished.append(message.seq)

    def accept(self, session: Session, connect: Connect) -> None:
        """The client is who it says: from now on it is listened to. Its CONNACK is the caller's to put first."""
        self.session = session
        self.deaf = False
        self._frames.most = self._limits.packet
        self._window = min(connect.receive_maximum, self._limits.window)
        self._largest = connect.packet_maximum

    def send(self, message: Outgoing, now: int) -> bool:
        """Send it, or put it behind what waits; False when it was dropped: QoS 0 gives way to a slow reader first."""
        session = self.session
        if session is None:
            return False
        if not message.qos:
            if self.clogged or not self._fits(octets := self._encoded(message, now)):
                return False
            self.out.append(octets)
            message.end("written")
            return True
        if message.seq == 0 and len(session.waiting) >= self._limits.waiting:
            return False
        if not session.waiting and not self.clogged and len(session.flight) < self._window:
            return self._launch(session, message, now)
        session.waiting.append(message)
        return True

    def pump(self, now: int) -> None:
        """Send what waits, as far as the client takes it (4.4, 4.9)."""
        session = self.session
        if session is None:
            return
        while session.waiting and not self.clogged and len(session.flight) < self._window:
            message = session.waiting.pop(0)
            if message.expires is not None and message.expires <= now and not message.sent:
                self._dropped(session, message)
                message.end("lost")
            else:
                self._launch(session, message, now)

    def _launch(self, session: Session, message: Outgoing, now: int) -> bool:
        if not message.packet_id or message.packet_id in session.flight:
            message.packet_id = session.packet_id()
        if message.released:
            session.flight[message.packet_id] = message
            self.out.append(writing.ack(Kind.PUBREL, message.packet_id))
            return True
        octets = self._encoded(message, now)
        if not self._fits(octets):
            # The client has said it takes none so large: it is as if it had been taken (MQTT-3.1.2-25).
            self._dropped(session, message)
            message.end("lost")
            return False
        session.flight[message.packet_id] = message
        message.sent = True
        self.out.append(octets)
        return True

    def _fits(self, octets: bytes) -> bool:
        return self._largest is None or len(octets) <= self._largest

    def _encoded(self, message: Outgoing, now: int) -> bytes:
        properties = message.properties
        if message.expires is not None and properties is not None:
            left = (message.expires - now + 999) // 1000
            properties = replace(properties, expiry=max(0, min(left, properties.expiry or 0)))
        return writing.publish(
            message.topic,
            message.payload,
            level=self.level,
            qos=message.qos,
            retain=message.retain,
            dup=message.sent,
            packet_id=message.packet_id,
            properties=properties,
            subscriptions=message.ids,
        )
