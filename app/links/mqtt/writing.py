"""The packets the hub sends, as octets (MQTT 3.1.1 and 5, chapter 3)."""

from collections.abc import Sequence

from app.links.mqtt.errors import Reason
from app.links.mqtt.limits import Limits
from app.links.mqtt.packets import V5, Kind
from app.links.mqtt.ports import Properties
from app.links.mqtt.properties import write_message, write_number, write_text

PINGRESP = b"\xd0\x00"

_FIRST = {Kind.PUBACK: 0x40, Kind.PUBREC: 0x50, Kind.PUBREL: 0x62, Kind.PUBCOMP: 0x70}


def packet(first: int, *parts: bytes) -> bytes:
    """With its fixed header."""
    body = b"".join(parts)
    return bytes((first,)) + write_number(len(body)) + body


def ack(kind: Kind, packet_id: int, code: int = 0, level: int = V5) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP; 3.1.1 has no `code`."""
    if code and level == V5:
        return bytes((_FIRST[kind], 3, packet_id >> 8, packet_id & 0xFF, code))
    return bytes((_FIRST[kind], 2, packet_id >> 8, packet_id & 0xFF))


def connack_refused(why: Reason, level: int) -> bytes:
    """No, and why."""
    return b"\x20\x03\x00" + bytes((why.code, 0)) if level == V5 else b"\x20\x02\x00" + bytes((why.return_code,))


def connack(
    level: int, *, present: bool, limits: Limits, assigned: str = "", keep_alive: int | None = None, life: int = 0
) -> bytes:
    """Welcome. What the hub does otherwise than a client would assume is said in properties (3.2.2.3).

    `assigned` client id, `keep_alive` and session `life` (s) where they are not those the client asked for.
    """
    if level != V5:
        return b"\x20\x02" + bytes((present, 0))
    out = [
        b"\x21" + limits.window.to_bytes(2, "big"),
        b"\x27" + limits.packet.to_bytes(4, "big"),
        b"\x22" + limits.aliases.to_bytes(2, "big"),
        b"\x2a\x00",
    ]
    out += [b"\x12" + write_text(assigned)] if assigned else []
    out += [b"\x13" + keep_alive.to_bytes(2, "big")] if keep_alive is not None else []
    out += [b"\x11" + life.to_bytes(4, "big")] if life else []
    told = b"".join(out)
    return packet(0x20, bytes((present, 0)), write_number(len(told)), told)


def publish(
    topic: str,
    payload: bytes,
    *,
    level: int,
    qos: int = 0,
    retain: bool = False,
    dup: bool = False,
    packet_id: int = 0,
    properties: Properties | None = None,
    subscriptions: tuple[int, ...] = (),
) -> bytes:
    """A message for the client."""
    first = 0x30 | (8 if dup else 0) | qos << 1 | retain
    parts = [write_text(topic)]
    if qos:
        parts.append(packet_id.to_bytes(2, "big"))
    if level == V5:
        parts.append(write_message(properties, subscriptions))
    return packet(first, *parts, payload)


def suback(packet_id: int, codes: Sequence[int], level: int) -> bytes:
    """A code for each filter asked: the QoS granted, or why not; 3.1.1 knows 0x80 alone."""
    if level == V5:
        return packet(0x90, packet_id.to_bytes(2, "big"), b"\x00", bytes(codes))
    return packet(0x90, packet_id.to_bytes(2, "big"), bytes(min(code, 0x80) for code in codes))


def unsuback(packet_id: int, codes: Sequence[int], level: int) -> bytes:
    """In MQTT 5 with a code for each filter."""
    if level == V5:
        return packet(0xB0, packet_id.to_bytes(2, "big"), b"\x00", bytes(codes))
    return packet(0xB0, packet_id.to_bytes(2, "big"))


def disconnect(why: Reason) -> bytes:
    """The hub ends it: MQTT 5 alone has a packet for that."""
    return b"\xe0\x02" + bytes((why.code, 0))
