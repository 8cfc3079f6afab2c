"""A virtual device against a hub, over loopback TCP and mDNS: paired, linked, obeying, and each way of being bad."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.devices.product.catalogue import built_in
from app.devices.product.model import Product
from app.virtual.device import VirtualDevice
from app.virtual.memory import MemoryStore, file_store
from app.virtual.misbehaviour import Misbehaviour
from app.virtual.parts import Place
from pairing import wire
from pairing.errors import (
    BoundElsewhereError,
    ConnectionLostError,
    DeviceBusyError,
    PairingError,
    PeerSilentError,
    ProofFailedError,
    RefusedByPersonError,
    WrongPinError,
)
from pairing.link import Peer, hub_talk
from pairing.mdns import Announcement, browse_devices
from pairing.messages import Command, FromDevice, Hello, Moved, Ping, decode_from_device
from pairing.pump import pump, read_frame
from tests.virtual.hub import WAIT, Hub

QUIET = Place(announced=False, retry_first=0.01, retry_most=0.1)
ON = Command("c1", "set", "light", {"on": True})


@pytest.fixture(scope="module")
def lamp() -> Product:
    found = built_in().get("lamp")
    assert found is not None
    return found


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    async with Hub().on() as hub:
        yield hub


async def test_it_announces_itself_is_paired_and_announces_that(hub: Hub, lamp: Product) -> None:
    async with VirtualDevice(lamp, name="Reading lamp") as device, browse_devices() as browser:

        async def heard(paired: bool) -> Announcement:
            async with asyncio.timeout(WAIT):
                return await anext(
                    news
                    async for news in browser
                    if isinstance(news, Announcement) and news.id == device.id and news.paired == paired
                )

        free = await heard(paired=False)
        assert (free.product, free.name, free.port, free.auth) == ("lamp", "Reading lamp", device.port, "open")
        activated = await hub.pair(device)
        assert (activated.device_id, activated.product, activated.trust) == (device.id, "lamp", "first-use")
        await heard(paired=True)


async def test_it_reports_all_it_has_and_obeys(hub: Hub, lamp: Product) -> None:
    async with VirtualDevice(lamp, place=QUIET) as device:
        await hub.pair(device)
        hello = await hub.heard("up")
        assert isinstance(hello, Hello)
        assert hello.product == "lamp"
        assert (await hub.report("light")).values == device.body.readable("light")
        hub.order(device, ON)
        answer = await hub.answer()
        assert (answer.id, answer.ok, answer.values) == ("c1", True, {"on": True})
        hub.order(device, Command("c2", "get", "light"))
        assert (await hub.answer()).values == device.body.readable("light") | {"on": True}
        hub.order(device, Command("c3", "call", "light", name="blink", params={"times": 2}))
        assert (await hub.answer()).ok
        assert (await device.wait("blink")).details == {"times": 2}


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (Command("x", "set", "light", {"brightness": 1_000_000}), "value_unfit"),
        (Command("x", "set", "light", {"nothing": 1}), "value_unfit"),
        (Command("x", "set", "nothing", {"on": True}), "value_unfit"),
        (Command("x", "get", "nothing"), "value_unfit"),
        (Command("x", "call", "light", name="fly"), "value_unfit"),
        (Command("x", "set", "light", {"on": True}, expires=1), "expired"),
    ],
)
async def test_it_says_what_it_will_not_do(hub: Hub, lamp: Product, command: Command, error: str) -> None:
    async with VirtualDevice(lamp, place=QUIET) as device:
        await hub.pair(device)
        await hub.report("light")  # by then the device has the hub's time
        hub.order(device, command)
        answer = await hub.answer()
        assert (answer.ok, answer.error) == (False, error)
        assert device.body.values["light"]["on"] is False


async def test_the_same_command_is_done_once_even_over_power_loss(hub: Hub, lamp: Product, tmp_path: Path) -> None:
    store = file_store(tmp_path / "lamp.json")
    blink = Command("c9", "call", "light", name="blink", params={"times": 1})
    async with VirtualDevice(lamp, place=QUIET, store=store, how=Misbehaviour(dies_at="answer")) as device:
        await hub.pair(device)
        await hub.link_up(device)
        hub.order(device, blink)
        async with asyncio.timeout(WAIT):
            await device.died.wait()
    async with VirtualDevice(lamp, place=QUIET, store=store) as again:
        assert again.id == device.id
        await hub.link_up(again)
        for _ in range(2):
            hub.order(again, blink)
            assert (await hub.answer()).ok
        hub.order(again, Command("c10", "call", "light", name="blink", params={"times": 7}))
        assert (await again.wait("blink")).details == {"times": 7}


async def test_what_it_was_told_holds_over_power_loss(hub: Hub, lamp: Product, tmp_path: Path) -> None:
    store = file_store(tmp_path / "lamp.json")
    async with VirtualDevice(lamp, place=QUIET, store=store, how=Misbehaviour(dies_at="answer")) as device:
        await hub.pair(device)
        assert (await hub.report("light")).values["on"] is False
        hub.order(device, ON)
        async with asyncio.timeout(WAIT):
            await device.died.wait()
    async with VirtualDevice(lamp, place=QUIET, store=store) as again:
        assert (await hub.report("light")).values["on"] is True
        hub.order(again, ON)
        assert (await hub.answer()).values == {"on": True}
        await again.reset()
        assert again.body.values["light"]["on"] is False
    async with VirtualDevice(lamp, place=QUIET, store=store) as new:
        assert new.id == device.id
        assert (new.state.paired, new.body.values["light"]["on"]) == (False, False)


async def test_reset_while_it_is_away_it_still_tells_its_hub(lamp: Product) -> None:
    hub, patient = Hub(), Place(announced=False, retry_first=WAIT)
    async with VirtualDevice(lamp, place=patient) as device:
        async with hub.on():
            await hub.pair(device)
            await hub.link_up(device)
        await device.wait("unlinked")
        async with hub.on(port=hub.port):
            await device.reset()
            assert await hub.heard("reset") == device.id
        assert not device.state.paired


async def test_a_pin_is_asked_for(hub: Hub, lamp: Product) -> None:
    async with VirtualDevice(lamp, place=QUIET, pin="48151623") as device:
        with pytest.raises(WrongPinError):
            await hub.pair(device, pin="00000000")
        assert (await hub.pair(device, pin="48151623")).trust == "pin"
        await hub.link_up(device)


async def test_it_is_nobodys_when_the_person_says_no(hub: Hub, lamp: Product) -> None:
    async with VirtualDevice(lamp, place=QUIET) as device:
        with pytest.raises(RefusedByPersonError):
            await hub.pair(device, agree=False)
        await device.wait("pairing_failed")
        assert not device.state.candidates


async def test_another_hub_is_refused_until_it_is_reset(hub: Hub, lamp: Product) -> None:
    async with VirtualDevice(lamp, place=QUIET) as device, Hub().on() as other:
        await hub.pair(device)
        await hub.link_up(device)
        with pytest.raises(BoundElsewhereError):
            await other.pair(device)
        await device.reset()
        assert await hub.heard("reset") == device.id
        await other.pair(device)
        await other.link_up(device)


async def test_one_hub_at_a_time(hub: Hub, lamp: Product) -> None:
    async with VirtualDevice(lamp, place=QUIET) as device:
        _, writer = await asyncio.open_connection("127.0.0.1", device.port)
        async with asyncio.timeout(WAIT):
            while True:  # until the device has taken the first connection
                try:
                    await hub.pair(device)
                except DeviceBusyError:
                    break
        writer.close()


async def test_paired_anew_it_links_with_the_new_credential(hub: Hub, lamp: Product) -> None:
    async with VirtualDevice(lamp, place=QUIET) as device:
        await hub.pair(device)
        await hub.link_up(device)
        old = hub.peers[device.id].credential
        assert (await hub.pair(device)).rebound
        await device.wait("unlinked")
        await hub.heard("down")
        await hub.link_up(device)
        assert hub.peers[device.id].credential != old
        assert device.state.active is not None
        assert device.state.active.credential == hub.peers[device.id].credential


async def test_let_go_by_the_hub_it_is_free(hub: Hub, lamp: Product) -> None:
    async with VirtualDevice(lamp, place=QUIET) as device:
        await hub.pair(device)
        await hub.link_up(device)
        hub.peers[device.id] = Peer(hub.peers[device.id].public_key, hub.peers[device.id].credential, removed=True)
        hub.link.let_go(device.id)
        assert (await device.wait("reset")).details == {"by": "hub"}
        assert not device.state.paired
        await hub.pair(device)
        await hub.link_up(device)


async def test_removed_while_it_was_away_it_learns_so_when_it_comes_back(hub: Hub, lamp: Product) -> None:
    store = MemoryStore()
    async with VirtualDevice(lamp, place=QUIET, store=store) as device:
        await hub.pair(device)
        await hub.link_up(device)
    hub.peers[device.id] = Peer(hub.peers[device.id].public_key, hub.peers[device.id].credential, removed=True)
    async with VirtualDevice(lamp, place=QUIET, store=store) as again:
        assert (await again.wait("link_refused")).details["reason"] == "removed"
        assert (await again.wait("reset")).details == {"by": "hub"}
        assert not again.state.paired


async def test_a_wrong_credential_is_refused_and_costs_the_device_nothing(hub: Hub, lamp: Product) -> None:
    store = MemoryStore()
    async with VirtualDevice(lamp, place=QUIET, store=store, how=Misbehaviour(wrong_credential=True)) as device:
        await hub.pair(device)
        assert (await device.wait("link_refused")).details["reason"] == "credential"
        assert device.state.paired
    async with VirtualDevice(lamp, place=QUIET, store=store) as again:
        await hub.link_up(again)


async def test_it_finds_a_hub_that_moved(lamp: Product) -> None:
    hub = Hub()
    async with VirtualDevice(lamp, place=QUIET) as device:
        async with hub.on():
            await hub.pair(device)
            await hub.link_up(device)
            before = hub.port
        await device.wait("searching")
        async with hub.on(announced=True):
            assert hub.port != before
            await hub.link_up(device)
            assert device.state.active is not None
            assert device.state.active.endpoints[0] == ("127.0.0.1", hub.port)


async def test_it_keeps_where_the_hub_says_it_will_be(hub: Hub, lamp: Product) -> None:
    async with VirtualDevice(lamp, place=QUIET) as device:
        await hub.pair(device)
        await hub.link_up(device)
        assert hub.link.send(device.id, Moved((("127.0.0.1", 9),)))
        await device.wait("hub_moved")
        assert device.state.active is not None
        assert device.state.active.endpoints == (("127.0.0.1", 9),)


async def test_the_second_of_two_with_the_same_key_takes_over(hub: Hub, lamp: Product) -> None:
    store = MemoryStore()
    patient = Place(announced=False, retry_first=WAIT)
    async with VirtualDevice(lamp, place=patient, store=store) as first:
        await hub.pair(first)
        await hub.link_up(first)
        async with VirtualDevice(lamp, place=patient, store=store) as second:
            await hub.link_up(second)
            await first.wait("unlinked")
            hub.order(second, ON)
            assert (await hub.answer()).ok
            assert second.body.values["light"]["on"] is True
            assert first.body.values["light"]["on"] is False


async def test_somebody_switches_it_by_hand(hub: Hub, lamp: Product) -> None:
    async with VirtualDevice(lamp, place=QUIET) as device:
        await hub.pair(device)
        await hub.link_up(device)
        await hub.report("light")
        await device.put("light", {"on": True})
        assert (await hub.report("light")).values == {"on": True}


async def test_silent_it_answers_no_hub(hub: Hub, lamp: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pairing.activation.hub.STEP_TIMEOUT", 0.2)
    async with VirtualDevice(lamp, place=QUIET, how=Misbehaviour(silent=True)) as device:
        with pytest.raises(PeerSilentError):
            await hub.pair(device)


@pytest.mark.parametrize("pin", [None, "48151623"])
async def test_a_wrong_proof_is_seen_by_the_hub(hub: Hub, lamp: Product, pin: str | None) -> None:
    async with VirtualDevice(lamp, place=QUIET, pin=pin, how=Misbehaviour(wrong_proof=True)) as device:
        with pytest.raises((ProofFailedError, WrongPinError)):
            await hub.pair(device, pin=pin)
        assert device.id not in hub.peers


@pytest.mark.parametrize("step", ["proving", "code", "prepared", "1", "4"])
async def test_dying_while_it_is_paired_leaves_nothing_half_made(hub: Hub, lamp: Product, step: str) -> None:
    store = MemoryStore()
    async with VirtualDevice(lamp, place=QUIET, store=store, how=Misbehaviour(dies_at=step)) as device:
        with pytest.raises((ConnectionLostError, PeerSilentError, RefusedByPersonError)):
            async with asyncio.timeout(WAIT):
                await _pair_or_lose(hub, device)
        assert (await device.wait("died")).details == {"step": step}
        assert device.id not in hub.peers
    async with VirtualDevice(lamp, place=QUIET, store=store) as again:
        await hub.pair(again)
        await hub.link_up(again)


async def _pair_or_lose(hub: Hub, device: VirtualDevice) -> None:
    pairing, dying = asyncio.create_task(hub.pair(device)), asyncio.create_task(device.died.wait())
    await asyncio.wait([pairing, dying], return_when=asyncio.FIRST_COMPLETED)
    dying.cancel()
    if not pairing.done():  # it shows no code any more: the person says no
        pairing.cancel()
        await asyncio.gather(pairing, return_exceptions=True)
        raise ConnectionLostError
    await pairing


@pytest.mark.parametrize("how", [Misbehaviour(replays=True), Misbehaviour(babbles=True)])
async def test_what_no_good_device_says_ends_the_link(hub: Hub, lamp: Product, how: Misbehaviour) -> None:
    async with VirtualDevice(lamp, place=QUIET, how=how) as device:
        await hub.pair(device)
        assert (await device.wait("unlinked")).details["hub"] == hub.identity.hub_id


async def test_deaf_refusing_and_repeating(hub: Hub, lamp: Product) -> None:
    for how, answers in ((Misbehaviour(refuses="busy"), ["busy"]), (Misbehaviour(twice=True), [None, None])):
        async with VirtualDevice(lamp, place=QUIET, how=how) as device:
            await hub.pair(device)
            await hub.link_up(device)
            hub.order(device, Command(secrets.token_hex(4), "set", "light", {"on": True}))
            assert [(await hub.answer()).error for _ in answers] == answers
    async with VirtualDevice(lamp, place=QUIET, how=Misbehaviour(deaf=True)) as device:
        await hub.pair(device)
        await hub.link_up(device)
        hub.order(device, ON)
        await device.put("light", {"on": True})
        while (kind := (await hub.said.get())[0]) != "reported":
            assert kind != "answered"


async def test_slow_it_says_the_same(hub: Hub, lamp: Product) -> None:
    async with VirtualDevice(lamp, place=QUIET, how=Misbehaviour(slow=0.02)) as device:
        await hub.pair(device)
        await hub.link_up(device)
        hub.order(device, ON)
        assert (await hub.answer()).ok


async def test_it_pings_and_leaves_a_hub_that_says_nothing(lamp: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.virtual.linked.SILENCE_LIMIT", 0.5)
    hub, heard = Hub(), list[FromDevice]()

    async def listen_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = hub_talk(hub.identity, hub.peers.get, entropy=secrets.token_bytes)
        with suppress(PairingError):
            _, channel = await pump(talk, reader, writer, keep_open=True)
            while True:
                frame = await read_frame(reader, WAIT, step="test", limit=wire.MAX_FRAME)
                heard.append(decode_from_device(channel.open(frame)))
        writer.close()

    async with await asyncio.start_server(listen_only, "127.0.0.1", 0) as server:
        hub.port = server.sockets[0].getsockname()[1]
        patient = Place(announced=False, retry_first=WAIT, heartbeat=0.01)
        async with VirtualDevice(lamp, place=patient) as device:
            await hub.pair(device)
            assert (await device.wait("unlinked")).details["code"] == "device_silent"
    assert isinstance(heard[0], Hello)
    assert Ping() in heard


async def test_silent_on_its_link_it_is_dropped_and_comes_back(
    hub: Hub, lamp: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.links.lan.SILENCE_LIMIT", 0.2)
    async with VirtualDevice(lamp, place=QUIET) as device:
        await hub.pair(device)
        await hub.link_up(device)
        assert await hub.heard("down") == device.id
        await hub.link_up(device)


async def test_half_open_connections_cost_nobody_else_anything(hub: Hub, lamp: Product) -> None:
    async with VirtualDevice(lamp, place=QUIET) as device:
        await hub.pair(device)
        await hub.link_up(device)
        held = [await asyncio.open_connection("127.0.0.1", hub.port) for _ in range(40)]
        hub.order(device, ON)
        assert (await hub.answer()).ok
        for _, writer in held:
            writer.close()


async def test_nothing_is_left_open(hub: Hub, lamp: Product) -> None:
    before = asyncio.all_tasks()
    async with VirtualDevice(lamp, place=QUIET) as device:
        await hub.pair(device)
        await hub.link_up(device)
    async with asyncio.timeout(WAIT):
        while asyncio.all_tasks() - before:
            await asyncio.sleep(0)
    with pytest.raises(OSError, match="Connect"):
        await asyncio.open_connection("127.0.0.1", device.port)


async def test_a_stranger_at_the_pairing_port_leaves_it_as_it_was(hub: Hub, lamp: Product) -> None:
    async with VirtualDevice(lamp, place=QUIET) as device:
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00", b"\xff\xff", b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", device.port)
            writer.write(garbage)
            writer.write_eof()
            async with asyncio.timeout(WAIT):
                await reader.read()
            writer.close()
        await hub.pair(device)
