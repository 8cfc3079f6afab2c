"""The table of conformance: normative statements of MQTT 3.1.1 by their number, each with what shows it.

A check is given the port of a broker. Those marked `only_ours` are decided by the hub where the standard leaves room,
or are not kept by Mosquitto 2.0, or take it long (it looks for silent clients every 5 s).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.links.mqtt.wire import DISCONNECT, PING, ack, connect, packet, publish, short, subscribe, unsubscribe, wire

Check = Callable[[int], Awaitable[None]]


@dataclass(frozen=True)
class Statement:
    number: str
    says: str
    check: Check
    only_ours: bool = False


TABLE: list[Statement] = []


def shows(number: str, says: str, *, only_ours: bool = False) -> Callable[[Check], Check]:
    def put(check: Check) -> Check:
        TABLE.append(Statement(number, says, check, only_ours))
        return check

    return put


def breaks(number: str, says: str, *sent: bytes, only_ours: bool = False) -> None:
    """What is sent after CONNECT closes the connection without an answer."""

    async def check(port: int) -> None:
        async with wire(port) as it:
            await it.enter()
            it.say(*sent)
            assert await it.closed() == b""

    TABLE.append(Statement(number, says, check, only_ours))


def breaks_first(number: str, says: str, *sent: bytes, answer: bytes = b"", only_ours: bool = False) -> None:
    """What is sent instead of CONNECT closes the connection."""

    async def check(port: int) -> None:
        async with wire(port) as it:
            it.say(*sent)
            assert await it.closed() == answer

    TABLE.append(Statement(number, says, check, only_ours))


_NAME = b"\x00\x04MQTT"
breaks_first("3.1.0-1", "the first packet is CONNECT", PING)
breaks("3.1.0-2", "a second CONNECT is a violation", connect())
breaks_first("3.1.2-1", "another protocol's name closes", packet(0x10, b"\x00\x04HTTP\x04\x02\x00\x3c\x00\x01a"))
breaks_first(
    "3.1.2-2",
    "an unknown level is answered 0x01",
    packet(0x10, _NAME + b"\x09\x02\x00\x3c\x00\x01a"),
    answer=b"\x20\x02\x00\x01",
)
breaks_first("3.1.2-3", "the reserved flag is 0", packet(0x10, _NAME + b"\x04\x03\x00\x3c\x00\x01a"))
breaks_first("3.1.2-13", "a will has no QoS without its flag", packet(0x10, _NAME + b"\x04\x0a\x00\x3c\x00\x01a"))
breaks_first("3.1.2-14", "a will's QoS is not 3", connect(will=("dev/w", b"", 3, False)))
breaks_first("3.1.2-22", "no password without a user name", connect(user=None), only_ours=True)
breaks_first("2.2.2-2", "reserved flags of a fixed header close", b"\x11" + connect()[1:])
breaks("3.3.1-2", "QoS 0 is never a duplicate", publish("dev/a", dup=True), only_ours=True)
breaks("3.3.1-4", "QoS 3 closes", packet(0x36, b"\x00\x05dev/a\x00\x01x"))
breaks("3.3.2-2", "no wildcard in a topic name", publish("dev/#"))
breaks("4.7.3-1", "no empty topic", publish(""))
breaks("4.7.3-2", "no NUL in a topic", publish("dev/\0"))
breaks("1.5.3-1", "a string is UTF-8", packet(0x30, b"\x00\x05dev/\xffx"))
breaks("1.5.3-1b", "no surrogates", packet(0x30, b"\x00\x07dev/\xed\xa0\x80x"))
breaks("2.3.1-1", "no packet id of 0", publish("dev/a", b"x", 1, 0))
breaks("2.3.1-1b", "no packet id of 0 in SUBSCRIBE", subscribe(0, ("dev/a", 0)))
breaks("3.6.1-1", "PUBREL has its flags", ack(0x60, 1))
breaks("3.8.1-1", "SUBSCRIBE has its flags", b"\x80" + subscribe(1, ("dev/a", 0))[1:])
breaks("3.8.3-3", "SUBSCRIBE has a filter", packet(0x82, short(1)))
breaks("3.8.3-4", "a QoS asked for is at most 2", subscribe(1, ("dev/a", 3)))
breaks("3.8.3-4b", "reserved bits of the QoS are 0", subscribe(1, ("dev/a", 8)))
breaks("3.10.1-1", "UNSUBSCRIBE has its flags", b"\xa0" + unsubscribe(1, "dev/a")[1:])
breaks("3.10.3-2", "UNSUBSCRIBE has a filter", packet(0xA2, short(1)))
breaks("4.7.1-2", "# is the last level", subscribe(1, ("dev/#/a", 0)))
breaks("4.7.1-2b", "# fills its level", subscribe(1, ("dev/a#", 0)))
breaks("4.7.1-3", "+ fills its level", subscribe(1, ("dev/a+", 0)))
breaks("4.8.0-1", "a length of five octets is none", b"\x30\xff\xff\xff\xff\x01")
breaks("3.14.1-1", "DISCONNECT has no flags", b"\xe1\x00", only_ours=True)
breaks("4.8.0-1b", "a server's packet closes", b"\x20\x02\x00\x00")


@shows("3.1.2-4", "clean 0: the session is there again, with what it is owed")
async def _(port: int) -> None:
    async with wire(port) as first:
        await first.enter("stays", clean=False)
        assert await first.ask(subscribe(1, ("dev/stays/#", 1))) == b"\x90\x00\x01\x01"
        await first.leave()
    async with wire(port) as other:
        await other.enter("other")
        for n in range(3):
            assert await other.ask(publish("dev/stays/x", b"%d" % n, 1, n + 1)) == b"\x40" + short(n + 1)
        await other.leave()
    async with wire(port) as again:
        assert (await again.enter("stays", clean=False))[0] == 1
        assert [(await again.message()).payload for _ in range(3)] == [b"0", b"1", b"2"]


@shows("3.1.2-6", "clean 1: what was before is forgotten")
async def _(port: int) -> None:
    async with wire(port) as first:
        await first.enter("fresh", clean=False)
        await first.ask(subscribe(1, ("dev/fresh", 1)))
        await first.leave()
    async with wire(port) as again:
        assert (await again.enter("fresh", clean=True))[0] == 0
        again.say(publish("dev/fresh"))
        assert await again.silent()
        await again.leave()
    async with wire(port) as last:
        assert (await last.enter("fresh", clean=False))[0] == 0


@shows("3.1.2-8", "a will is published when the connection is cut")
async def _(port: int) -> None:
    async with wire(port) as watching, wire(port) as dying:
        await watching.enter("watching")
        await watching.ask(subscribe(1, ("dev/will", 1)))
        await dying.enter("dying", will=("dev/will", b"gone", 1, False))
        dying.cut()
        got = await watching.message()
        assert (got.topic, got.payload, got.qos) == ("dev/will", b"gone", 1)


@shows("3.1.2-10", "a will is not published after DISCONNECT")
async def _(port: int) -> None:
    async with wire(port) as watching, wire(port) as leaving:
        await watching.enter("watching")
        await watching.ask(subscribe(1, ("dev/#", 1)))
        await leaving.enter("leaving", will=("dev/will", b"gone", 1, False))
        await leaving.leave()
        assert await watching.silent()


@shows("3.1.2-17", "a will with its retain flag is retained")
async def _(port: int) -> None:
    async with wire(port) as watching, wire(port) as dying:
        await watching.enter("watching")
        await watching.ask(subscribe(1, ("dev/kept", 0)))
        await dying.enter("dying", will=("dev/kept", b"gone", 1, True))
        dying.cut()
        await watching.message()
        await watching.ask(unsubscribe(2, "dev/kept"))
        await watching.ask(subscribe(3, ("dev/kept", 0)))
        assert (await watching.message()).retain


@shows("3.1.2-24", "silence of one and a half keep-alives closes", only_ours=True)
async def _(port: int) -> None:
    async with wire(port) as it:
        await it.enter(keep_alive=1)
        assert await it.closed() == b""


@shows("3.1.3-6", "an empty client id with clean 1 is given one")
async def _(port: int) -> None:
    async with wire(port) as one, wire(port) as two:
        await one.enter("")
        await two.enter("")
        assert await one.silent()


breaks_first(
    "3.1.3-8",
    "an empty client id with clean 0 is answered 0x02",
    connect("", clean=False),
    answer=b"\x20\x02\x00\x02",
)


@shows("3.1.4-2", "a second connection of a client id ends the first")
async def _(port: int) -> None:
    async with wire(port) as former, wire(port) as latter:
        await former.enter("twin")
        await latter.enter("twin")
        assert await former.closed() == b""
        assert await latter.silent()


breaks_first(
    "3.1.4-5",
    "after a refusal nothing is listened to",
    connect(password=b"wrong"),
    publish("dev/a", b"x", 1, 1),
    answer=b"\x20\x02\x00\x04",
    only_ours=True,
)


@shows("3.1.4-5b", "what is sent before CONNACK is dealt with after it")
async def _(port: int) -> None:
    async with wire(port) as it:
        it.say(connect("hasty"), publish("dev/a", b"x", 1, 9), PING)
        got = [await it.next() for _ in range(3)]
        assert got[0] == (0x20, b"\x00\x00")
        assert sorted(got[1:]) == [(0x40, b"\x00\x09"), (0xD0, b"")]


@shows("3.2.2-1", "a clean session is never present")
async def _(port: int) -> None:
    for clean, present in ((False, 0), (False, 1), (True, 0)):
        async with wire(port) as it:
            assert (await it.enter("present", clean=clean))[0] == present
            await it.leave()


@shows("3.3.1-8", "a message goes to a subscriber that is there without the retain flag")
async def _(port: int) -> None:
    async with wire(port) as it:
        await it.enter()
        await it.ask(subscribe(1, ("dev/now", 0)))
        it.say(publish("dev/now", b"1", retain=True))
        assert not (await it.message()).retain


@shows("3.3.1-6", "a new subscription gets what is retained, flagged, the last of it")
async def _(port: int) -> None:
    async with wire(port) as it:
        await it.enter()
        for n in (1, 2):
            await it.ask(publish("dev/r/a", b"%d" % n, 1, n, retain=True))
        await it.ask(publish("dev/r/b", b"3", 1, 3, retain=True))
        await it.ask(subscribe(1, ("dev/r/+", 1)))
        got = sorted((m.topic, m.payload, m.retain) for m in [await it.message(), await it.message()])
        assert got == [("dev/r/a", b"2", True), ("dev/r/b", b"3", True)]


@shows("3.3.1-10", "an empty retained message takes away what is retained")
async def _(port: int) -> None:
    async with wire(port) as it:
        await it.enter()
        await it.ask(publish("dev/e", b"1", 1, 1, retain=True))
        await it.ask(publish("dev/e", b"", 1, 2, retain=True))
        await it.ask(subscribe(1, ("dev/e", 1)))
        assert await it.silent()


@shows("3.3.5-1", "of overlapping subscriptions the highest QoS counts", only_ours=True)
async def _(port: int) -> None:
    async with wire(port) as it:
        await it.enter()
        await it.ask(subscribe(1, ("dev/o/#", 0), ("dev/o/x", 1), ("dev/+/x", 2)))
        assert (await it.round_trip("dev/o/x", 1)).qos == 2
        assert await it.silent()


@shows("2.3.1-6", "PUBACK, PUBREC and PUBCOMP carry the id of what they answer")
async def _(port: int) -> None:
    async with wire(port) as it:
        await it.enter()
        assert await it.ask(publish("dev/a", b"x", 1, 513)) == b"\x40\x02\x01"
        assert await it.ask(publish("dev/a", b"x", 2, 514)) == b"\x50\x02\x02"
        assert await it.ask(ack(0x62, 514)) == b"\x70\x02\x02"


@shows("4.3.3-2", "a QoS 2 message that comes again before its release is one message")
async def _(port: int) -> None:
    async with wire(port) as hearing, wire(port) as it:
        await hearing.enter("hearing")
        await hearing.ask(subscribe(1, ("dev/q2", 0)))
        await it.enter("repeats", clean=False)
        await it.ask(publish("dev/q2", b"once", 2, 7))
        it.cut()
        async with wire(port) as again:
            await again.enter("repeats", clean=False)
            assert await again.ask(publish("dev/q2", b"once", 2, 7, dup=True)) == b"\x50\x00\x07"
            assert await again.ask(ack(0x62, 7)) == b"\x70\x00\x07"
            assert await again.ask(publish("dev/q2", b"two", 2, 7)) == b"\x50\x00\x07"
            assert await again.ask(ack(0x62, 7)) == b"\x70\x00\x07"
        assert [(await hearing.message()).payload for _ in range(2)] == [b"once", b"two"]
        assert await hearing.silent()


@shows("4.3.3-1", "to a subscriber at QoS 2: PUBLISH, PUBREC, PUBREL, PUBCOMP")
async def _(port: int) -> None:
    async with wire(port) as it:
        await it.enter()
        await it.ask(subscribe(1, ("dev/down", 2)))
        packet_id = (await it.round_trip("dev/down", 1)).packet_id
        assert await it.ask(ack(0x50, packet_id)) == b"\x62" + short(packet_id)
        it.say(ack(0x70, packet_id))
        assert await it.silent()


@shows("4.4.0-1", "what was not acknowledged comes again, with its id, as a duplicate")
async def _(port: int) -> None:
    async with wire(port) as first:
        await first.enter("again", clean=False)
        await first.ask(subscribe(1, ("dev/again", 1)))
        first.say(publish("dev/again", b"x", 1, 1))
        got = [await first.next(), await first.next()]
        _, body = next(each for each in got if each[0] >> 4 == 3)
        first.cut()
    async with wire(port) as second:
        await second.enter("again", clean=False)
        repeat = await second.message()
        assert (repeat.dup, short(repeat.packet_id)) == (True, body[11:13])
        second.say(ack(0x40, repeat.packet_id))
        assert await second.silent()
        await second.leave()
    async with wire(port) as third:
        await third.enter("again", clean=False)
        assert await third.silent()


@shows("4.6.0-6", "messages of a topic come in the order they were published")
async def _(port: int) -> None:
    async with wire(port) as it, wire(port) as source:
        await it.enter("reads")
        await it.ask(subscribe(1, ("dev/order", 1)))
        await source.enter("writes")
        source.say(*(publish("dev/order", b"%d" % n, 1, n) for n in range(1, 41)))
        assert [await source.next() for _ in range(40)] == [(0x40, short(n)) for n in range(1, 41)]
        for n in range(1, 41):
            got = await it.message()
            assert got.payload == b"%d" % n
            it.say(ack(0x40, got.packet_id))


@shows("3.8.4-2", "SUBACK has the id, and a code for each filter in their order")
async def _(port: int) -> None:
    async with wire(port) as it:
        await it.enter()
        asked = subscribe(258, ("dev/a", 2), ("dev/b", 0), ("dev/c", 1))
        assert await it.ask(asked) == b"\x90\x01\x02\x02\x00\x01"


@shows("3.8.4-3", "a filter subscribed again replaces, and retained messages come again")
async def _(port: int) -> None:
    async with wire(port) as it:
        await it.enter()
        await it.ask(publish("dev/s", b"kept", 1, 1, retain=True))
        await it.ask(subscribe(1, ("dev/s", 0)))
        assert (await it.message()).qos == 0
        await it.ask(subscribe(2, ("dev/s", 1)))
        assert (await it.message()).qos == 1
        it.say(publish("dev/s", b"x"))
        assert (await it.message()).payload == b"x"
        assert await it.silent()


@shows("3.8.4-6", "a message goes out at the lower QoS of the two")
async def _(port: int) -> None:
    async with wire(port) as it:
        await it.enter()
        await it.ask(subscribe(1, ("dev/low", 1)))
        it.say(publish("dev/low", b"0"))
        assert (await it.message()).qos == 0
        assert (await it.round_trip("dev/low", 5)).qos == 1


@shows("3.10.4-5", "UNSUBACK comes also where nothing was subscribed, and deliveries end")
async def _(port: int) -> None:
    async with wire(port) as it:
        await it.enter()
        await it.ask(subscribe(1, ("dev/u", 0)))
        assert await it.ask(unsubscribe(2, "dev/u", "dev/never")) == b"\xb0\x00\x02"
        it.say(publish("dev/u"))
        assert await it.silent()


@shows("3.12.4-1", "PINGREQ is answered")
async def _(port: int) -> None:
    async with wire(port) as it:
        await it.enter()
        assert await it.ask(PING) == b"\xd0"


@shows("3.14.4-1", "after DISCONNECT the connection is closed and nothing more is listened to")
async def _(port: int) -> None:
    async with wire(port) as it, wire(port) as watching:
        await watching.enter("watching")
        await watching.ask(subscribe(1, ("dev/bye/#", 0)))
        await it.enter()
        it.say(publish("dev/bye/before", b""), DISCONNECT, publish("dev/bye/after", b""))
        assert await it.closed() == b""
        assert (await watching.message()).topic == "dev/bye/before"
        assert await watching.silent()


@shows("4.7.1.2", "wildcards match what they should, and # its parent as well")
async def _(port: int) -> None:
    topics = ("dev/w/s", "dev/w/s/a", "dev/w/s/a/b", "dev/w/t/a", "dev/w/s/")
    expected = {
        "dev/w/s/#": {"dev/w/s", "dev/w/s/a", "dev/w/s/a/b", "dev/w/s/"},
        "dev/w/s/+": {"dev/w/s/a", "dev/w/s/"},
        "dev/w/+/a": {"dev/w/s/a", "dev/w/t/a"},
        "dev/w/+": {"dev/w/s"},
    }
    for topic_filter, wanted in expected.items():
        async with wire(port) as it:
            await it.enter()
            await it.ask(subscribe(1, (topic_filter, 0)))
            it.say(*(publish(topic) for topic in topics))
            assert {(await it.message()).topic for _ in wanted} == wanted
            assert await it.silent()


@shows("3.8.4-5", "a filter that is refused is answered 0x80, the others are granted", only_ours=True)
async def _(port: int) -> None:
    async with wire(port) as it:
        await it.enter()
        asked = subscribe(3, ("dev/a", 1), ("other/a", 1), ("#", 0))
        assert await it.ask(asked) == b"\x90\x00\x03\x01\x80\x80"


@shows("3.3.5-2", "a publish that is not authorized is acknowledged and goes nowhere", only_ours=True)
async def _(port: int) -> None:
    async with wire(port) as it, wire(port) as other:
        await other.enter("b", user="other")
        await other.ask(subscribe(1, ("other/#", 1)))
        await it.enter()
        assert await it.ask(publish("other/a", b"x", 1, 1)) == b"\x40\x00\x01"
        assert await other.silent()
