"""The same for what MQTT 5 adds."""

from collections.abc import Callable

from app.links.mqtt import properties as props
from app.links.mqtt.packets import Raw
from app.links.mqtt.properties import write_binary, write_number, write_text
from tests.links.mqtt.statements import Check, Statement
from tests.links.mqtt.wire import PING, Wire, ack, connect, packet, publish, short, subscribe, unsubscribe, wire

TABLE5: list[Statement] = []
EXPIRY, LIFE, MAXIMUM, DELAY = b"\x02", b"\x11", b"\x21", b"\x18"


def shows(number: str, says: str, *, only_ours: bool = False) -> Callable[[Check], Check]:
    def put(check: Check) -> Check:
        TABLE5.append(Statement(number, says, check, only_ours))
        return check

    return put


def breaks(number: str, says: str, reason: int, *sent: bytes, only_ours: bool = False) -> None:
    """What is sent after CONNECT ends the connection with this reason."""

    async def check(port: int) -> None:
        async with wire(port) as it:
            await it.enter(level=5)
            it.say(*sent)
            last = await it.closed()
            assert last[:1] == b"\xe0", last
            assert last[2] == reason, last

    TABLE5.append(Statement(number, says, check, only_ours))


def long(value: int) -> bytes:
    return value.to_bytes(4, "big")


def told(properties: bytes) -> Raw:
    """The properties of a CONNACK."""
    readers = {0x12: props.text, 0x13: props.short, 0x24: props.octet, 0x25: props.octet}
    readers |= {0x28: props.octet, 0x29: props.octet, 0x2A: props.octet}
    length, at = props.number(properties, 0)
    found: Raw = {}
    while at < 1 + length:
        id_ = properties[at]
        found[id_], at = (readers.get(id_) or props._READERS[id_])(properties, at + 1)
    return found


async def enter(it: Wire, client_id: str = "five", **more: object) -> tuple[int, Raw]:
    present, properties = await it.enter(client_id, level=5, **more)
    return present, told(properties)


breaks(
    "v5-2.2.2.2",
    "a property that does not belong there is malformed",
    0x81,
    publish("dev/a", level=5, more=b"\x11" + long(1)),
)
breaks(
    "v5-3.3.2-9",
    "a topic alias of 0 ends the connection",
    0x94,
    publish("dev/a", level=5, more=b"\x23\0\0"),
    only_ours=True,
)
breaks(
    "v5-3.3.2-10",
    "a topic alias that was never set is an error",
    0x94,
    publish("", level=5, more=b"\x23\0\x01"),
    only_ours=True,
)
breaks("v5-4.13", "QoS 3 is malformed", 0x81, packet(0x36, b"\x00\x05dev/a\x00\x01\x00x"))
breaks(
    "v5-3.8.3.1",
    "reserved subscription options are malformed",
    0x81,
    subscribe(1, ("dev/a", 0x40), level=5),
    only_ours=True,
)


@shows("v5-3.1.2-23", "a session lives as long as it was asked to")
async def _(port: int) -> None:
    async with wire(port) as it:
        await enter(it, "lives", more=LIFE + long(60))
        await it.ask(subscribe(1, ("dev/lives", 1), level=5))
        await it.leave()
    async with wire(port) as it:
        assert (await enter(it, "lives", clean=False))[0] == 1
        await it.leave()
    # This time it was not asked to outlive its connection.
    async with wire(port) as it:
        assert (await enter(it, "lives", clean=False))[0] == 0


@shows("v5-3.14.2-2", "a life asked for at DISCONNECT only is a protocol error", only_ours=True)
async def _(port: int) -> None:
    async with wire(port) as it:
        await enter(it)
        it.say(packet(0xE0, b"\0", b"\x05", LIFE + long(5)))
        assert await it.closed() == b"\xe0\x02\x82\x00"


@shows("v5-3.2.2-16", "an assigned client id is told")
async def _(port: int) -> None:
    async with wire(port) as it:
        assert (await enter(it, ""))[1][0x12]


@shows("v5-3.1.4-3", "who is taken over is told 0x8E", only_ours=True)
async def _(port: int) -> None:
    async with wire(port) as former, wire(port) as latter:
        await enter(former, "twin5")
        await enter(latter, "twin5")
        assert (await former.closed())[2] == 0x8E


@shows("v5-3.3.2-12", "a topic alias stands for its topic")
async def _(port: int) -> None:
    async with wire(port) as it:
        await enter(it)
        await it.ask(subscribe(1, ("dev/alias/#", 0), level=5))
        it.say(
            publish("dev/alias/x", b"1", level=5, more=b"\x23\0\x01"), publish("", b"2", level=5, more=b"\x23\0\x01")
        )
        assert [(m.topic, m.payload) for m in [await it.message(), await it.message()]] == [
            ("dev/alias/x", b"1"),
            ("dev/alias/x", b"2"),
        ]


@shows("v5-3.3.2-15", "what goes beside a message arrives with it")
async def _(port: int) -> None:
    beside = b"\x01\x01" + b"\x03" + write_text("text/plain") + b"\x08" + write_text("dev/answer")
    beside += b"\x09" + write_binary(b"\x00\x01") + b"\x26" + write_text("a") + write_text("1")
    beside += b"\x26" + write_text("a") + write_text("2")
    async with wire(port) as it:
        await enter(it)
        await it.ask(subscribe(1, ("dev/beside", 1), level=5))
        it.say(publish("dev/beside", b"x", 0, level=5, more=beside))
        raw = (await it.message()).raw
        assert (raw[1], raw[3], raw[8], raw[9]) == (1, "text/plain", "dev/answer", b"\x00\x01")
        assert raw[0x26] == [("a", "1"), ("a", "2")]


@shows("v5-3.3.2-5", "an expired message is not delivered, another with what is left of its time")
async def _(port: int) -> None:
    async with wire(port) as it:
        await enter(it, "late", more=LIFE + long(60))
        await it.ask(subscribe(1, ("dev/late", 1), level=5))
        await it.leave()
    async with wire(port) as other:
        await enter(other, "writes")
        await other.ask(publish("dev/late", b"kept", 1, 1, level=5, more=EXPIRY + long(500)))
        await other.leave()
    async with wire(port) as it:
        await enter(it, "late", clean=False, more=LIFE + long(60))
        got = await it.message()
        assert got.payload == b"kept"
        assert 400 < got.raw[2] <= 500


@shows("v5-3.8.3-3", "no-local: not what it published itself")
async def _(port: int) -> None:
    async with wire(port) as it:
        await enter(it)
        await it.ask(subscribe(1, ("dev/local", 4), ("dev/other", 0), level=5))
        it.say(publish("dev/local", level=5), publish("dev/other", level=5))
        assert (await it.message()).topic == "dev/other"
        assert await it.silent()


@shows("v5-3.3.1-12", "retain as published keeps the flag, and is off by default")
async def _(port: int) -> None:
    for options, flag in ((0, False), (8, True)):
        async with wire(port) as it:
            await enter(it)
            await it.ask(subscribe(1, ("dev/flag", options | 0x20), level=5))
            it.say(publish("dev/flag", retain=True, level=5))
            assert (await it.message()).retain is flag


@shows("v5-3.3.1-10", "retain handling: always, for a new subscription, never")
async def _(port: int) -> None:
    async with wire(port) as it:
        await enter(it)
        await it.ask(publish("dev/handling", b"x", 1, 1, retain=True, level=5))
        for handling, again, comes in ((0, False, True), (0, True, True), (1, True, False), (2, False, False)):
            if not again:
                await it.ask(unsubscribe(2, "dev/handling", level=5))
            await it.ask(subscribe(3, ("dev/handling", handling << 4), level=5))
            if comes:
                assert (await it.message()).retain
            assert await it.silent()


@shows("v5-3.3.4-3", "a message carries the id of its subscription")
async def _(port: int) -> None:
    async with wire(port) as it:
        await enter(it)
        await it.ask(subscribe(1, ("dev/id", 0), level=5, more=b"\x0b" + write_number(300)))
        it.say(publish("dev/id", level=5))
        assert (await it.message()).raw[0x0B] == 300


@shows("v5-3.3.4-7", "no more is in flight than the client takes")
async def _(port: int) -> None:
    async with wire(port) as it, wire(port) as other:
        await enter(it, "narrow", more=MAXIMUM + short(2))
        await it.ask(subscribe(1, ("dev/narrow", 1), level=5))
        await enter(other, "wide")
        other.say(*(publish("dev/narrow", b"%d" % n, 1, n, level=5) for n in range(1, 6)))
        for _ in range(5):
            await other.next()
        first, second = await it.message(), await it.message()
        assert await it.silent()
        it.say(ack(0x40, first.packet_id))
        third = await it.message()
        assert [m.payload for m in (first, second, third)] == [b"1", b"2", b"3"]


@shows("v5-3.1.2-24", "what is larger than the client takes is not sent")
async def _(port: int) -> None:
    async with wire(port) as it:
        await enter(it, "small", more=b"\x27" + long(60))
        await it.ask(subscribe(1, ("dev/size", 1), level=5))
        it.say(publish("dev/size", b"x" * 200, level=5), publish("dev/size", b"fits", level=5))
        assert (await it.message()).payload == b"fits"


@shows("v5-3.1.3-9", "a will waits for its delay, and a return before that cancels it")
async def _(port: int) -> None:
    async with wire(port) as watching:
        await enter(watching, "watch5")
        await watching.ask(subscribe(1, ("dev/delayed/#", 0), level=5))
        for name, back in (("quick", True), ("gone", False)):
            async with wire(port) as it:
                delayed: dict[str, object] = {"will": (f"dev/delayed/{name}", b"", 0, False)}
                delay = 30 if back else 1
                await enter(it, name, more=LIFE + long(60), will_more=DELAY + long(delay), **delayed)
                it.cut()
            if back:
                async with wire(port) as again:
                    await enter(again, name, clean=False, more=LIFE + long(60))
                    await again.leave()
        assert (await watching.message()).topic == "dev/delayed/gone"
        assert await watching.silent()


@shows("v5-3.14.4-3", "a DISCONNECT with 0x04 has the will published")
async def _(port: int) -> None:
    async with wire(port) as watching, wire(port) as it:
        await enter(watching, "watch5")
        await watching.ask(subscribe(1, ("dev/wished", 0), level=5))
        await enter(it, "wishes", will=("dev/wished", b"x", 0, False))
        it.say(packet(0xE0, b"\x04"))
        assert (await watching.message()).payload == b"x"


@shows("v5-3.11.3", "UNSUBACK says which filters there were")
async def _(port: int) -> None:
    async with wire(port) as it:
        await enter(it)
        await it.ask(subscribe(1, ("dev/a", 0), level=5))
        assert await it.ask(unsubscribe(7, "dev/a", "dev/b", level=5)) == b"\xb0\x00\x07\x00\x00\x11"


@shows("v5-3.9.3", "SUBACK says why: not authorized, shared not supported", only_ours=True)
async def _(port: int) -> None:
    async with wire(port) as it:
        _, said = await enter(it)
        assert said[0x2A] == 0
        asked = subscribe(1, ("dev/a", 1), ("other/a", 1), ("$share/g/dev/a", 1), level=5)
        assert await it.ask(asked) == b"\x90\x00\x01\x00\x01\x87\x9e"


@shows("v5-3.4.2.1", "PUBACK and PUBREC say why a message was not taken", only_ours=True)
async def _(port: int) -> None:
    async with wire(port) as it:
        await enter(it)
        assert await it.ask(publish("dev/declined", b"", 1, 1, level=5)) == b"\x40\x00\x01\x99"
        assert await it.ask(publish("other/a", b"", 1, 2, level=5)) == b"\x40\x00\x02\x87"
        assert await it.ask(publish("dev/declined", b"", 2, 3, level=5)) == b"\x50\x00\x03\x99"
        # Which is the end of it: the id is free.
        assert await it.ask(publish("dev/fine", b"", 2, 3, level=5)) == b"\x50\x00\x03"


@shows("v5-3.2.2-21", "a keep-alive beyond the hub's is replaced, and that is told", only_ours=True)
async def _(port: int) -> None:
    async with wire(port) as it:
        assert (await enter(it, keep_alive=0))[1][0x13] == 1200


@shows("v5-3.3.4-9", "more in flight than was told ends the connection with 0x93", only_ours=True)
async def _(port: int) -> None:
    async with wire(port) as it:
        _, said = await enter(it)
        it.say(*(publish("dev/a", b"", 2, n, level=5) for n in range(1, said[0x21] + 2)))
        assert b"\xe0\x02\x93\x00" in await it.closed()


@shows("v5-3.15", "extended authentication is refused", only_ours=True)
async def _(port: int) -> None:
    async with wire(port) as it:
        answer = await it.ask(connect(level=5, more=b"\x15" + write_text("SCRAM")))
        assert answer[:3] == b"\x20\x00\x8c"


@shows("v5-4.12", "a connection of 5 answers PINGREQ")
async def _(port: int) -> None:
    async with wire(port) as it:
        await enter(it)
        assert await it.ask(PING) == b"\xd0"
