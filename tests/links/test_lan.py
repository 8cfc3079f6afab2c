"""The hub's end of the link, over loopback TCP, against the device's half of the protocol."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from app.clock import SystemClock
from app.links import lan
from app.links.holding import Greeting
from app.links.lan import LanLink
from pairing import link, wire
from pairing.channel import Channel
from pairing.device import Binding
from pairing.errors import LinkRefusedError, PairingError
from pairing.identity import Identity
from pairing.link import Peer
from pairing.messages import (
    Answer,
    Command,
    FromDevice,
    FromHub,
    Hello,
    HubCard,
    Hubs,
    Ping,
    Pong,
    Report,
    Reset,
    decode_from_hub,
    encode,
)
from pairing.pump import pump, read_frame
from tests.links.heard import Heard

WAIT = 20.0
HELLO = Hello("1.0", "lamp")


@dataclass
class Hub:
    link: LanLink
    heard: Heard
    peers: dict[str, Peer]
    identity: Identity
    port: int


@dataclass
class Device:
    """A device that is bound to the hub under test."""

    hub: Hub
    identity: Identity
    credential: bytes

    @property
    def id(self) -> str:
        return self.identity.device_id

    async def connect(self) -> "Wire":
        binding = Binding(
            self.hub.identity.hub_id, self.hub.identity.public, "Hub", (), self.credential, "b", epoch=1, time=0
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", self.hub.port)
        talk = link.device_talk(self.identity, binding, entropy=secrets.token_bytes)
        return Wire(await pump(talk, reader, writer, keep_open=True), reader, writer)


@dataclass
class Wire:
    channel: Channel
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, message: FromDevice) -> None:
        self.writer.write(wire.pack(self.channel.seal(encode(message))))

    async def hear(self) -> FromHub:
        frame = await read_frame(self.reader, WAIT, step="test", limit=wire.MAX_FRAME)
        return decode_from_hub(self.channel.open(frame))

    async def ended(self) -> None:
        async with asyncio.timeout(WAIT):
            while await self.reader.read(65536):
                pass
        self.close()

    def close(self) -> None:
        self.writer.close()


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    identity, heard, peers = Identity.generate(secrets.token_bytes), Heard(), dict[str, Peer]()
    lan_link = LanLink(identity, peers.get, heard, SystemClock())
    port = await lan_link.start("127.0.0.1", 0)
    yield Hub(lan_link, heard, peers, identity, port)
    await lan_link.stop()


@pytest.fixture
def lamp(hub: Hub) -> Device:
    device = Device(hub, Identity.generate(secrets.token_bytes), secrets.token_bytes(32))
    hub.peers[device.id] = Peer(device.identity.public, device.credential)
    return device


async def linked(device: Device) -> Wire:
    wired = await device.connect()
    wired.say(HELLO)
    assert await device.hub.heard.next() == ("up", HELLO)
    return wired


async def test_a_proved_device_is_online_and_heard(hub: Hub, lamp: Device) -> None:
    wired = await linked(lamp)
    assert hub.link.is_online(lamp.id)
    report = Report("light", {"on": True})
    wired.say(report)
    assert await hub.heard.next() == ("reported", report)
    wired.say(Ping())
    assert isinstance(await wired.hear(), Pong)
    wired.close()
    assert await hub.heard.next() == ("down", lamp.id)
    assert not hub.link.is_online(lamp.id)


async def test_commands_arrive_in_order_and_answers_come_back(hub: Hub, lamp: Device) -> None:
    wired = await linked(lamp)
    for n in range(50):
        assert hub.link.send(lamp.id, Command(f"c{n}", "set", "light", {"level": n}))
    for n in range(50):
        command = await wired.hear()
        assert isinstance(command, Command)
        assert command.id == f"c{n}"
    wired.say(Answer("c49", ok=True))
    assert await hub.heard.next() == ("answered", Answer("c49", ok=True))
    wired.close()


async def test_nothing_is_sent_to_who_is_not_linked(hub: Hub, lamp: Device) -> None:
    assert not hub.link.send(lamp.id, Command("c", "set", "light"))


async def test_what_no_frame_can_hold_is_not_sent(hub: Hub, lamp: Device) -> None:
    wired = await linked(lamp)
    assert not hub.link.send(lamp.id, Command("c", "call", "light", params={str(n): "x" * 4000 for n in range(17)}))
    assert hub.link.send(lamp.id, Command("d", "get", "light"))
    command = await wired.hear()
    assert isinstance(command, Command)
    assert command.id == "d"
    wired.close()


async def test_the_newest_proof_is_the_device(hub: Hub, lamp: Device) -> None:
    first = await linked(lamp)
    second = await linked(lamp)
    await first.ended()
    assert hub.link.send(lamp.id, Command("c", "set", "light"))
    assert isinstance(await second.hear(), Command)
    second.close()
    assert await hub.heard.next() == ("down", lamp.id)


@pytest.mark.parametrize("wrong", ["credential", "key", "unknown", "removed"])
async def test_who_is_not_ours_is_refused(hub: Hub, lamp: Device, wrong: str) -> None:
    match wrong:
        case "credential":
            lamp.credential = secrets.token_bytes(32)
        case "key":
            hub.peers[lamp.id] = Peer(Identity.generate(secrets.token_bytes).public, lamp.credential)
        case "unknown":
            hub.peers.clear()
        case _:
            hub.peers[lamp.id] = Peer(lamp.identity.public, lamp.credential, removed=True)
    with pytest.raises(LinkRefusedError):
        await lamp.connect()
    assert hub.heard.said.empty()


async def test_a_device_let_go_is_told_and_does_not_come_back(hub: Hub, lamp: Device) -> None:
    wired = await linked(lamp)
    hub.peers[lamp.id] = Peer(lamp.identity.public, lamp.credential, removed=True)
    hub.link.let_go(lamp.id)
    assert await hub.heard.next() == ("down", lamp.id)
    assert await hub.heard.next() == ("told_to_forget", lamp.id)
    assert not hub.link.is_online(lamp.id)
    assert await wired.hear() == Reset()
    wired.say(Report("light", {"on": True}))  # what it was just saying counts no more
    wired.say(Reset())
    assert await hub.heard.next() == ("forgot", lamp.id)
    await wired.ended()
    with pytest.raises(LinkRefusedError):
        await lamp.connect()


async def test_one_that_was_reset_may_link_to_hear_that_and_nothing_else(hub: Hub, lamp: Device) -> None:
    hub.heard.leaving.add(lamp.id)
    wired = await lamp.connect()
    wired.say(Hello("1.0.0", "lamp"))
    assert await wired.hear() == Reset()
    assert await hub.heard.next() == ("told_to_forget", lamp.id)
    assert not hub.link.is_online(lamp.id)
    assert not hub.link.send(lamp.id, Command("c", "set", "light"))
    wired.say(Report("light", {"on": True}))
    wired.say(Ping())
    wired.say(Reset())
    assert await hub.heard.next() == ("forgot", lamp.id)
    await wired.ended()
    assert hub.heard.said.empty()


async def test_who_does_not_say_that_it_has_forgotten_is_hung_up_on(
    hub: Hub, lamp: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lan, "FORGETTING_S", 0.05)
    hub.heard.leaving.add(lamp.id)
    wired = await lamp.connect()
    wired.say(Hello("1.0.0", "lamp"))
    assert await wired.hear() == Reset()
    await wired.ended()
    assert await hub.heard.next() == ("told_to_forget", lamp.id)
    assert hub.heard.said.empty()


async def test_one_that_another_hub_holds_is_told_so_and_nothing_it_says_counts(hub: Hub, lamp: Device) -> None:
    told = Hubs(HubCard(bytes(32), "Attic", (("192.0.2.7", 8471),)), 3)
    hub.heard.greeting = Greeting(stays=False, hubs=told)
    wired = await lamp.connect()
    wired.say(HELLO)
    assert await wired.hear() == told
    wired.say(Report("light", {"on": True}))
    wired.close()
    hub.heard.greeting = Greeting(stays=True, hubs=told)
    wired = await linked(lamp)
    assert await wired.hear() == told
    assert hub.heard.said.empty()
    wired.close()


async def test_one_that_is_handed_over_is_told_where_it_belongs(hub: Hub, lamp: Device) -> None:
    told = Hubs(HubCard(bytes(32), "Attic", (("192.0.2.7", 8471),)), 3)
    hub.link.send_away(lamp.id, told)
    wired = await linked(lamp)
    hub.link.send_away(lamp.id, told)
    assert not hub.link.is_online(lamp.id)
    assert await hub.heard.next() == ("down", lamp.id)
    assert await wired.hear() == told
    wired.say(Report("light", {"on": True}))
    wired.close()
    wired = await linked(lamp)
    # Of a hub that nobody here knows it cannot be told; it comes again, and is told then.
    hub.link.send_away(lamp.id, None)
    assert await hub.heard.next() == ("down", lamp.id)
    await wired.ended()


async def test_a_replayed_frame_ends_the_link(hub: Hub, lamp: Device) -> None:
    wired = await linked(lamp)
    frame = wire.pack(wired.channel.seal(encode(Report("light", {"on": True}))))
    wired.writer.write(frame + frame)
    await wired.ended()
    assert (await hub.heard.next())[0] == "reported"
    assert await hub.heard.next() == ("down", lamp.id)


@pytest.mark.parametrize("garbage", [b"", b"\x00\x00", b"\xff\xff" + b"x" * 65535, b"GET / HTTP/1.1\r\n\r\n"])
async def test_garbage_ends_its_own_connection_only(hub: Hub, lamp: Device, garbage: bytes) -> None:
    wired = await linked(lamp)
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    writer.write(garbage)
    writer.write_eof()
    async with asyncio.timeout(WAIT):
        await reader.read()
    writer.close()
    wired.say(Ping())
    assert isinstance(await wired.hear(), Pong)
    wired.close()


async def test_strangers_are_capped_per_address(hub: Hub, lamp: Device) -> None:
    held = [await asyncio.open_connection("127.0.0.1", hub.port) for _ in range(lan.MAX_STRANGERS_PER_ADDRESS)]
    with pytest.raises(PairingError):
        await lamp.connect()
    for _, writer in held:
        writer.close()
    for reader, _ in held:
        async with asyncio.timeout(WAIT):
            await reader.read()
    (await linked(lamp)).close()


async def test_a_device_that_reads_nothing_is_dropped(hub: Hub, lamp: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lan, "MAX_UNSENT_BYTES", 1000)
    wired = await linked(lamp)
    wired.writer.transport.pause_reading()  # type: ignore[attr-defined]
    big = Command("c", "call", "light", params={"text": "x" * 4000})
    while hub.link.send(lamp.id, big):
        await asyncio.sleep(0)
    assert await hub.heard.next() == ("down", lamp.id)
    wired.close()


def test_a_device_says_so_much_at_once_and_then_so_much_a_second() -> None:
    pace = lan.Pace(0.0)
    assert [pace.wait(0.0) for _ in range(lan.MESSAGES_AT_ONCE)] == [0.0] * lan.MESSAGES_AT_ONCE
    now, heard = 0.0, 0
    while now < 60:
        now += pace.wait(now)
        heard += 1
    assert heard <= 60 * lan.MESSAGES_PER_SECOND + 2
    calm = now + lan.MESSAGES_AT_ONCE / lan.MESSAGES_PER_SECOND + 1
    assert [pace.wait(calm) for _ in range(lan.MESSAGES_AT_ONCE)] == [0.0] * lan.MESSAGES_AT_ONCE


async def test_who_says_too_much_waits_and_nobody_else_does(
    hub: Hub, lamp: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lan, "MESSAGES_AT_ONCE", 3)
    monkeypatch.setattr(lan, "MESSAGES_PER_SECOND", 1e-6)
    wired, report = await linked(lamp), Report("light", {"on": True})
    for _ in range(9):
        wired.say(report)
    # The one too many is heard, and those after it wait.
    assert [await hub.heard.next() for _ in range(4)] == [("reported", report)] * 4
    other = Device(hub, Identity.generate(secrets.token_bytes), secrets.token_bytes(32))
    hub.peers[other.id] = Peer(other.identity.public, other.credential)
    quiet = await linked(other)
    quiet.say(Ping())
    assert isinstance(await quiet.hear(), Pong)
    assert hub.heard.said.empty()
    wired.close()
    quiet.close()
