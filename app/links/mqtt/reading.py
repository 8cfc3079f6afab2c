"""Octets to packets: framing that takes what comes, and a reader for each packet a client may send."""

from collections.abc import Callable

from app.links.mqtt import properties as props
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
    Raw,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from app.links.mqtt.properties import binary, number, read, short, text
from app.links.mqtt.topics import is_filter, is_name

_FOREVER = 0xFFFFFFFF


class Frames:
    """Cuts a stream into packets. `most` octets a packet may have; more raises before they are waited for."""

    __slots__ = ("_at", "_data", "_need", "_tail", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._data = b""
        self._at = 0
        # A packet that comes in pieces is collected here until `_need` octets are there.
        self._tail: bytearray | None = None
        self._need = 0

    def feed(self, data: bytes) -> None:
        """More has come."""
        if self._tail is not None:
            self._tail += data
        elif self._at < len(self._data):
            self._tail = bytearray(memoryview(self._data)[self._at :])
            self._tail += data
            self._data, self._at = b"", 0
        else:
            self._data, self._at = data, 0
        if self._tail is not None and len(self._tail) >= self._need:
            self._data, self._at, self._tail = bytes(self._tail), 0, None

    @property
    def held(self) -> int:
        """Octets that wait to be cut."""
        return len(self._tail) if self._tail is not None else len(self._data) - self._at

    def next(self) -> tuple[int, bytes] | None:
        """First octet and body of the next packet that is whole; raises Malformed."""
        data, at = self._data, self._at
        left = len(data) - at
        if left < 2:
            self._need = 2
            return None
        size, begin = data[at + 1], at + 2
        if size > 0x7F:
            if left < 5 and all(octet > 0x7F for octet in data[begin:]):
                self._need = left + 1
                return None
            size, begin = number(data, at + 1)
        end = begin + size
        if end - at > self.most:
            raise Malformed("a packet is too large", Reason.TOO_LARGE)
        if end > len(data):
            self._need = end - at
            return None
        if end == len(data):
            self._data, self._at = b"", 0
        else:
            self._at = end
        return data[at], data[begin:end]


def decode(first: int, body: bytes, level: int, limits: Limits) -> Packet:
    """The packet of this fixed header and body; raises Malformed or ProtocolBroken, and nothing else."""
    if first >> 4 == Kind.PUBLISH:
        return _publish(first, body, level, limits)
    reader = _READERS.get(first)
    if reader is None:
        # A type that is the server's to send, or flags that are reserved (2.2.2).
        raise Malformed("no packet begins like this")
    return reader(body, level, limits)


def _publish(first: int, body: bytes, level: int, limits: Limits) -> Publish:
    qos = first >> 1 & 3
    if qos == 3 or (first & 8 and not qos):
        raise Malformed("flags that cannot be")
    topic, at = text(body, 0)
    packet_id, raw = 0, None
    if qos:
        packet_id, at = _packet_id(body, at)
    if level == V5:
        raw, at = read(body, at, props.ALLOWED[Kind.PUBLISH], limits.properties)
    alias = raw.get(props.ALIAS) if raw else None
    if not is_name(topic, limits) and (topic or alias is None):
        raise Malformed("no topic to publish to", Reason.TOPIC_NAME)
    message = props.of_message(raw) if raw else None
    if message is not None and message.response_topic and not is_name(message.response_topic, limits):
        raise ProtocolBroken("no topic to answer to", Reason.TOPIC_NAME)
    return Publish(topic, body[at:], qos, bool(first & 1), bool(first & 8), packet_id, message, alias)


def _packet_id(body: bytes, at: int) -> tuple[int, int]:
    packet_id, at = short(body, at)
    if not packet_id:
        raise Malformed("a packet id is 0")
    return packet_id, at


def _connect(body: bytes, level: int, limits: Limits) -> Connect:
    level, at = _protocol(body)
    flags, at = props.octet(body, at)
    _check_flags(flags, level)
    keep_alive, at = short(body, at)
    raw: Raw = {}
    if level == V5:
        raw, at = read(body, at, props.ALLOWED[Kind.CONNECT], limits.properties)
    client_id, at = text(body, at)
    will, username, password = None, None, None
    if flags & 4:
        will, at = _will(body, at, level, flags, limits)
    if flags & 0x80:
        username, at = text(body, at)
    if flags & 0x40:
        password, at = binary(body, at)
    if at != len(body):
        raise Malformed("something follows")
    if props.AUTH_DATA in raw and props.AUTH_METHOD not in raw:
        raise ProtocolBroken("authentication data without a method")
    clean = bool(flags & 2)
    life = raw.get(props.SESSION_EXPIRY, 0) if level == V5 else 0 if clean else None
    return Connect(
        level=level,
        client_id=client_id,
        clean=clean,
        keep_alive=keep_alive,
        username=username,
        password=password,
        will=will,
        life=None if life == _FOREVER else life,
        receive_maximum=raw.get(props.RECEIVE_MAXIMUM, 65535),
        packet_maximum=raw.get(props.PACKET_MAXIMUM),
        auth_method=props.AUTH_METHOD in raw,
    )


def _protocol(body: bytes) -> tuple[int, int]:
    name, at = text(body, 0)
    level, at = props.octet(body, at)
    if name not in ("MQTT", "MQIsdp"):
        raise ProtocolBroken("another protocol")
    if (name, level) not in (("MQTT", V311), ("MQTT", V5)):
        raise ProtocolBroken("another version of the protocol", Reason.VERSION)
    return level, at


def _check_flags(flags: int, level: int) -> None:
    """3.1.2.3 to 3.1.2.9."""
    qos = flags >> 3 & 3
    if flags & 1 or qos == 3 or (not flags & 4 and flags & 0x38):
        raise Malformed("flags that cannot be")
    if level == V311 and flags & 0x40 and not flags & 0x80:
        raise Malformed("a password without a user name")


def _will(body: bytes, at: int, level: int, flags: int, limits: Limits) -> tuple[Will, int]:
    raw: Raw = {}
    if level == V5:
        raw, at = read(body, at, props.ALLOWED_WILL, limits.properties)
    topic, at = text(body, at)
    if not is_name(topic, limits):
        raise Malformed("no topic for a will", Reason.TOPIC_NAME)
    payload, at = binary(body, at)
    message = props.of_message(raw)
    return Will(topic, payload, flags >> 3 & 3, bool(flags & 0x20), raw.get(props.WILL_DELAY, 0), message), at


def _ack(kind: Kind) -> Callable[[bytes, int, Limits], Packet]:
    def read_ack(body: bytes, level: int, limits: Limits) -> Ack:
        packet_id, at = _packet_id(body, 0)
        code = 0
        if level == V5 and at < len(body):
            code, at = props.octet(body, at)
            if at < len(body):
                _, at = read(body, at, props.ALLOWED[kind], limits.properties)
        if at != len(body):
            raise Malformed("something follows")
        return Ack(kind, packet_id, code)

    return read_ack


def _subscribe(body: bytes, level: int, limits: Limits) -> Subscribe:
    packet_id, at = _packet_id(body, 0)
    raw: Raw = {}
    if level == V5:
        raw, at = read(body, at, props.ALLOWED[Kind.SUBSCRIBE], limits.properties)
    filters = []
    while at < len(body):
        topic_filter, at = _filter(body, at, limits)
        options, at = props.octet(body, at)
        filters.append((topic_filter, _options(options, level, raw.get(props.SUBSCRIPTION))))
    _some(filters)
    return Subscribe(packet_id, tuple(filters))


def _options(octet: int, level: int, id_: int | None) -> Subscription:
    handling = octet >> 4 & 3
    if octet & 3 == 3 or octet & (0xC0 if level == V5 else 0xFC) or handling == 3:
        raise Malformed("options that cannot be")
    return Subscription(octet & 3, bool(octet & 4), bool(octet & 8), handling, id_)


def _unsubscribe(body: bytes, level: int, limits: Limits) -> Unsubscribe:
    packet_id, at = _packet_id(body, 0)
    if level == V5:
        _, at = read(body, at, props.ALLOWED[Kind.UNSUBSCRIBE], limits.properties)
    filters = []
    while at < len(body):
        topic_filter, at = _filter(body, at, limits)
        filters.append(topic_filter)
    _some(filters)
    return Unsubscribe(packet_id, tuple(filters))


def _filter(body: bytes, at: int, limits: Limits) -> tuple[str, int]:
    topic_filter, at = text(body, at)
    if not is_filter(topic_filter, limits):
        raise Malformed("no filter", Reason.TOPIC_FILTER)
    return topic_filter, at


def _some(filters: list[str] | list[tuple[str, Subscription]]) -> None:
    # MQTT-3.8.3-3, 3.10.3-2
    if not filters:
        raise ProtocolBroken("no filter at all")


def _ping(body: bytes, level: int, limits: Limits) -> Ping:
    if body:
        raise Malformed("something follows")
    return Ping()


def _disconnect(body: bytes, level: int, limits: Limits) -> Disconnect:
    if level != V5 or not body:
        if body:
            raise Malformed("something follows")
        return Disconnect()
    code, at = props.octet(body, 0)
    raw: Raw = {}
    if at < len(body):
        raw, at = read(body, at, props.ALLOWED[Kind.DISCONNECT], limits.properties)
    if at != len(body):
        raise Malformed("something follows")
    return Disconnect(code, raw.get(props.SESSION_EXPIRY))


_READERS: dict[int, Callable[[bytes, int, Limits], Packet]] = {
    0x10: _connect,
    0x40: _ack(Kind.PUBACK),
    0x50: _ack(Kind.PUBREC),
    0x62: _ack(Kind.PUBREL),
    0x70: _ack(Kind.PUBCOMP),
    0x82: _subscribe,
    0xA2: _unsubscribe,
    0xC0: _ping,
    0xE0: _disconnect,
}
