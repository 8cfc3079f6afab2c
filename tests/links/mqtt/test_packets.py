"""Reading packets: whole or in pieces, what may not be, and a flood of what no client would send."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.links.mqtt import properties as props
from app.links.mqtt import writing
from app.links.mqtt.errors import Malformed, PacketError, ProtocolBroken, Reason
from app.links.mqtt.limits import Limits
from app.links.mqtt.packets import V5, V311, Connect, Kind, Packet, Publish
from app.links.mqtt.ports import Properties
from app.links.mqtt.reading import Frames, decode
from app.links.mqtt.session import Outgoing, Session
from app.links.mqtt.talk import Talk
from tests.links.mqtt.wire import DISCONNECT, PING, ack, connect, packet, publish, short, subscribe, unsubscribe

LIMITS = Limits()
SEEDED, FULL = 20_000, 1_000_000


def read(octets: bytes, level: int = V311, limits: Limits = LIMITS) -> Packet:
    frames = Frames(limits.packet)
    frames.feed(octets)
    frame = frames.next()
    assert frame is not None
    return decode(*frame, level, limits)


def frames_of(pieces: Iterator[bytes]) -> list[tuple[int, bytes]]:
    frames, found = Frames(LIMITS.packet), []
    for piece in pieces:
        frames.feed(piece)
        while (frame := frames.next()) is not None:
            found.append(frame)
    assert frames.held == 0
    return found


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(0, 2**32))
def test_a_stream_is_the_same_however_it_is_cut(bodies: list[bytes], seed: int) -> None:
    dice, stream = random.Random(seed), b"".join(packet(0x30, body) for body in bodies)

    def pieces() -> Iterator[bytes]:
        at = 0
        while at < len(stream):
            size = dice.choice((1, 2, 3, 7, 100, 1000))
            yield stream[at : at + size]
            at += size

    assert frames_of(pieces()) == [(0x30, body) for body in bodies]


def test_what_is_too_large_is_refused_before_it_has_come() -> None:
    frames = Frames(100)
    frames.feed(b"\x30\x80\x01")
    with pytest.raises(Malformed) as refused:
        frames.next()
    assert refused.value.why is Reason.TOO_LARGE


@pytest.mark.parametrize("level", [V311, V5])
def test_connect_says_all_it_can(level: int) -> None:
    more = b"\x11" + (7).to_bytes(4, "big") + b"\x21" + short(9) + b"\x27" + (999).to_bytes(4, "big")
    will_more = b"\x18" + (3).to_bytes(4, "big") + b"\x03" + props.write_text("json")
    octets = connect(
        "c", level=level, clean=False, keep_alive=5, will=("a/b", b"w", 2, True), more=more, will_more=will_more
    )
    got = read(octets)
    assert isinstance(got, Connect)
    assert (got.level, got.client_id, got.clean, got.keep_alive, got.username) == (level, "c", False, 5, "dev")
    assert got.will is not None
    assert (got.will.topic, got.will.payload, got.will.qos, got.will.retain) == ("a/b", b"w", 2, True)
    if level == V5:
        assert (got.life, got.receive_maximum, got.packet_maximum) == (7, 9, 999)
        assert (got.will.delay, got.will.properties) == (3, Properties(content_type="json"))
    else:
        assert (got.life, got.will.properties) == (None, None)


messages = st.builds(
    Properties,
    utf8=st.booleans(),
    expiry=st.none() | st.integers(0, 2**32 - 1),
    content_type=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    response_topic=st.sampled_from(["", "a/b"]),
    correlation=st.binary(max_size=20),
    user=st.lists(st.tuples(st.sampled_from(["", "a", "ä"]), st.sampled_from(["", "1"])), max_size=4).map(tuple),
)


@given(messages, st.binary(max_size=200), st.integers(0, 2))
def test_what_is_written_is_read_again(beside: Properties, payload: bytes, qos: int) -> None:
    octets = writing.publish("a/ä", payload, level=V5, qos=qos, packet_id=7 if qos else 0, properties=beside)
    got = read(octets, V5)
    assert got == Publish(
        "a/ä", payload, qos, False, False, 7 if qos else 0, None if beside == Properties() else beside
    )


@pytest.mark.parametrize(
    ("octets", "level", "error"),
    [
        (packet(0x32, b"\x00\x01a"), V311, Malformed),
        (packet(0x30, b"\x00\x05a"), V311, Malformed),
        (packet(0x30, b"\x00\x01a\x05\x01"), V5, Malformed),
        (packet(0x30, b"\x00\x01a\x04\x01\x00\x01\x00"), V5, ProtocolBroken),
        (packet(0x30, b"\x00\x01a\x02\x01\x02"), V5, ProtocolBroken),
        (packet(0x30, b"\x00\x01a\x80\x00"), V5, Malformed),
        (packet(0x40, b"\x00\x01\x00"), V311, Malformed),
        (packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x01ab"), V311, Malformed),
        (packet(0xC0, b"x"), V311, Malformed),
        (packet(0xE0, b"x"), V311, Malformed),
        (packet(0xF0), V311, Malformed),
        (packet(0x00), V311, Malformed),
    ],
)
def test_what_cannot_be_is_named(octets: bytes, level: int, error: type[PacketError]) -> None:
    with pytest.raises(error):
        read(octets, level)


def test_a_topic_has_its_bounds() -> None:
    small = Limits(topic=20, levels=3)
    assert isinstance(read(publish("a/b/c"), limits=small), Publish)
    for topic in ("a" * 21, "a/b/c/d"):
        with pytest.raises(Malformed):
            read(publish(topic), limits=small)
    many = b"\x26" + props.write_text("a") + props.write_text("b")
    with pytest.raises(Malformed):
        read(publish("a", level=5, more=many * 65), V5)


SAMPLES = [
    connect(level=4, will=("dev/a", b"x", 1, True)),
    connect(level=5, more=b"\x11\0\0\0\x05\x21\0\x05", will=("dev/a", b"x", 1, True), will_more=b"\x18\0\0\0\x01"),
    publish("dev/a", b"payload", 0),
    publish("dev/a", b"payload", 1, 5),
    publish("dev/a", b"payload", 2, 6, level=5, more=b"\x23\0\x01\x26\0\x01a\0\x01b\x02\0\0\0\x09"),
    subscribe(1, ("dev/#", 1), ("dev/+/a", 2)),
    subscribe(2, ("dev/#", 0x2C), level=5, more=b"\x0b\x05"),
    unsubscribe(3, "dev/#"),
    unsubscribe(4, "dev/#", level=5),
    ack(0x40, 1),
    ack(0x50, 1),
    ack(0x62, 6),
    ack(0x70, 1),
    packet(0x40, b"\0\x01\x80\x03\x1f\0\0"),
    PING,
    DISCONNECT,
    packet(0xE0, b"\x04\x05\x11\0\0\0\x01"),
]


def mangled(dice: random.Random) -> bytes:
    """One packet that was sound once, or never."""
    octets = bytearray(dice.choice(SAMPLES) if dice.random() < 0.9 else dice.randbytes(dice.randrange(1, 40)))
    for _ in range(dice.randrange(4)):
        at = dice.randrange(len(octets))
        match dice.randrange(4):
            case 0:
                octets[at] = dice.randrange(256)
            case 1:
                octets.insert(at, dice.randrange(256))
            case 2 if len(octets) > 1:
                del octets[at]
            case _:
                octets[at] ^= 1 << dice.randrange(8)
    return bytes(octets)


def talk_with(dice: random.Random, level: int) -> Talk:
    """A client that is in, subscribed to nothing, with something on its way to it."""
    talk = Talk(Limits(packet=4096, unread=16))
    talk.feed(connect(level=level), 0)
    asked = talk.todo.pop(0)
    assert isinstance(asked, Connect)
    session = Session("dev", "one")
    talk.accept(session, asked)
    for n in range(3):
        talk.send(Outgoing("dev/x", b"x", n, expires=dice.choice((None, 5))), 0)
    return talk


def fuzz(count: int, seed: int) -> tuple[int, int]:
    """Only PacketError is raised; returns how often it was, and how many packets were understood."""
    dice = random.Random(seed)
    refused = understood = done = 0
    while done < count:
        level = dice.choice((V311, V5))
        talk = talk_with(dice, level) if dice.random() < 0.8 else Talk(Limits())
        for _ in range(dice.randrange(1, 30)):
            done += 1
            try:
                talk.feed(mangled(dice), 0)
            except PacketError:
                refused += 1
                break
            understood += len(talk.todo)
            talk.todo.clear()
            talk.out.clear()
    return refused, understood


def test_hostile_packets_meet_our_own_error_only() -> None:
    refused, understood = fuzz(SEEDED, 1)
    assert refused > SEEDED / 100
    assert understood > SEEDED / 100


@pytest.mark.full
def test_a_million_hostile_packets_meet_our_own_error_only() -> None:
    assert min(fuzz(FULL, 2)) > 0


def test_acks_of_the_hub_are_as_long_as_they_should_be() -> None:
    assert writing.ack(Kind.PUBACK, 1, 0, V5) == b"\x40\x02\x00\x01"
    assert writing.ack(Kind.PUBACK, 1, 0x87, V311) == b"\x40\x02\x00\x01"
    assert writing.suback(1, [0x87, 1], V311) == b"\x90\x04\x00\x01\x80\x01"
