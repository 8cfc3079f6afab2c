"""The properties of MQTT 5 (2.2.2): read from a packet, and written into one."""

from collections.abc import Callable
from typing import Any

from app.links.mqtt.errors import Malformed, ProtocolBroken, Reason
from app.links.mqtt.packets import Kind, Raw
from app.links.mqtt.ports import Properties

FORMAT, EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION, SUBSCRIPTION = 0x01, 0x02, 0x03, 0x08, 0x09, 0x0B
SESSION_EXPIRY, ASSIGNED_ID, SERVER_KEEP_ALIVE, AUTH_METHOD, AUTH_DATA = 0x11, 0x12, 0x13, 0x15, 0x16
PROBLEM_INFORMATION, WILL_DELAY, RESPONSE_INFORMATION, REASON = 0x17, 0x18, 0x19, 0x1F
RECEIVE_MAXIMUM, ALIAS_MAXIMUM, ALIAS, MAXIMUM_QOS, RETAIN_AVAILABLE, USER = 0x21, 0x22, 0x23, 0x24, 0x25, 0x26
PACKET_MAXIMUM, WILDCARDS, SUBSCRIPTION_IDS, SHARED = 0x27, 0x28, 0x29, 0x2A

_NEVER_ZERO = frozenset({RECEIVE_MAXIMUM, PACKET_MAXIMUM, ALIAS, SUBSCRIPTION})
_FLAGS = frozenset({FORMAT, PROBLEM_INFORMATION, RESPONSE_INFORMATION})
_MESSAGE = frozenset({FORMAT, EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION, USER})
_ACK = frozenset({REASON, USER})
# Which packet may carry which (table 2-4); what a client sends only.
ALLOWED: dict[Kind, frozenset[int]] = {
    Kind.CONNECT: frozenset(
        {
            SESSION_EXPIRY,
            AUTH_METHOD,
            AUTH_DATA,
            PROBLEM_INFORMATION,
            RESPONSE_INFORMATION,
            RECEIVE_MAXIMUM,
            ALIAS_MAXIMUM,
            PACKET_MAXIMUM,
            USER,
        }
    ),
    Kind.PUBLISH: _MESSAGE | {ALIAS},
    Kind.PUBACK: _ACK,
    Kind.PUBREC: _ACK,
    Kind.PUBREL: _ACK,
    Kind.PUBCOMP: _ACK,
    Kind.SUBSCRIBE: frozenset({SUBSCRIPTION, USER}),
    Kind.UNSUBSCRIBE: frozenset({USER}),
    Kind.DISCONNECT: frozenset({SESSION_EXPIRY, REASON, USER}),
}
ALLOWED_WILL = _MESSAGE | {WILL_DELAY}


def number(body: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer (1.5.5) and where it ends; raises Malformed."""
    value = shift = 0
    for step in range(4):
        if at >= len(body):
            raise Malformed("a number is cut short")
        octet = body[at]
        at += 1
        value |= (octet & 0x7F) << shift
        shift += 7
        if octet < 0x80:
            # The shortest form is the only one (MQTT-1.5.5-1).
            if step and not octet:
                raise Malformed("a number is longer than it need be")
            return value, at
    raise Malformed("a number does not end")


def binary(body: bytes, at: int) -> tuple[bytes, int]:
    """Binary data with its length before it (1.5.6); raises Malformed."""
    end = at + 2
    if end > len(body):
        raise Malformed("a length is cut short")
    begin, end = end, end + (body[at] << 8 | body[at + 1])
    if end > len(body):
        raise Malformed("a field is cut short")
    return body[begin:end], end


def text(body: bytes, at: int) -> tuple[str, int]:
    """A UTF-8 string (1.5.4, 3.1.1: 1.5.3), which holds no NUL and no surrogate; raises Malformed."""
    octets, at = binary(body, at)
    try:
        read = octets.decode()
    except UnicodeDecodeError as error:
        raise Malformed("a string is not UTF-8") from error
    if "\0" in read:
        raise Malformed("a string holds NUL")
    return read, at


def _integer(size: int) -> Callable[[bytes, int], tuple[int, int]]:
    def read(body: bytes, at: int) -> tuple[int, int]:
        if at + size > len(body):
            raise Malformed("an integer is cut short")
        return int.from_bytes(body[at : at + size], "big"), at + size

    return read


def _pair(body: bytes, at: int) -> tuple[tuple[str, str], int]:
    name, at = text(body, at)
    value, at = text(body, at)
    return (name, value), at


octet, short, long = _integer(1), _integer(2), _integer(4)
_READERS: dict[int, Callable[[bytes, int], tuple[Any, int]]] = {
    FORMAT: octet,
    EXPIRY: long,
    CONTENT_TYPE: text,
    RESPONSE_TOPIC: text,
    CORRELATION: binary,
    SUBSCRIPTION: number,
    SESSION_EXPIRY: long,
    AUTH_METHOD: text,
    AUTH_DATA: binary,
    PROBLEM_INFORMATION: octet,
    WILL_DELAY: long,
    RESPONSE_INFORMATION: octet,
    REASON: text,
    RECEIVE_MAXIMUM: short,
    ALIAS_MAXIMUM: short,
    ALIAS: short,
    USER: _pair,
    PACKET_MAXIMUM: long,
}


def read(body: bytes, at: int, allowed: frozenset[int], most: int) -> tuple[Raw, int]:
    """A packet's properties and where they end. Raises Malformed, ProtocolBroken (one twice, a zero where none may)."""
    length, at = number(body, at)
    end = at + length
    if end > len(body):
        raise Malformed("properties are cut short")
    body = body[:end]
    found: Raw = {}
    count = 0
    while at < end:
        id_, at = number(body, at)
        if id_ not in allowed:
            raise Malformed("a property that does not belong there")
        value, at = _READERS[id_](body, at)
        count += 1
        if count > most:
            raise Malformed("too many properties")
        _put(found, id_, value)
    return found, end


def _put(found: Raw, id_: int, value: Any) -> None:
    if id_ == USER:
        found.setdefault(USER, []).append(value)
        return
    if id_ in found:
        raise ProtocolBroken("a property comes twice")
    if (id_ in _NEVER_ZERO and not value) or (id_ in _FLAGS and value > 1):
        raise ProtocolBroken("a property has a value it may not have", Reason.TOPIC_ALIAS if id_ == ALIAS else None)
    found[id_] = value


def of_message(raw: Raw) -> Properties | None:
    """What goes along with a message; None where nothing does."""
    if not raw.keys() & _MESSAGE:
        return None
    return Properties(
        utf8=raw.get(FORMAT) == 1,
        expiry=raw.get(EXPIRY),
        content_type=raw.get(CONTENT_TYPE, ""),
        response_topic=raw.get(RESPONSE_TOPIC, ""),
        correlation=raw.get(CORRELATION, b""),
        user=tuple(raw.get(USER, ())),
    )


def write_number(value: int) -> bytes:
    """A variable byte integer (1.5.5) of at most 268,435,455."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_binary(octets: bytes) -> bytes:
    """With its length before it; at most 65,535 octets."""
    return len(octets).to_bytes(2, "big") + octets


def write_text(value: str) -> bytes:
    """A UTF-8 string with its length before it."""
    return write_binary(value.encode())


def write_message(properties: Properties | None, subscriptions: tuple[int, ...] = ()) -> bytes:
    """The properties of a PUBLISH, their length before them."""
    out = [b"\x0b" + write_number(each) for each in subscriptions]
    if properties is not None:
        out += [b"\x01\x01"] if properties.utf8 else []
        out += [b"\x02" + properties.expiry.to_bytes(4, "big")] if properties.expiry is not None else []
        out += [b"\x03" + write_text(properties.content_type)] if properties.content_type else []
        out += [b"\x08" + write_text(properties.response_topic)] if properties.response_topic else []
        out += [b"\x09" + write_binary(properties.correlation)] if properties.correlation else []
        out += [b"\x26" + write_text(name) + write_text(value) for name, value in properties.user]
    whole = b"".join(out)
    return write_number(len(whole)) + whole
