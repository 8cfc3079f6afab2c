"""The client on a radio in memory: which proxy, what it asks, what it is told, and what it leaves behind."""

import asyncio
from pathlib import Path

import pytest

from ble.errors import BleError
from ble.mesh.access import Message
from ble.mesh.beacons import NetworkBeacon
from ble.mesh.choice import FIRST_PENALTY_S, HEARD_S, PROXY_SERVICE, Choice
from ble.mesh.client import MeshClient, NodeSilent, NoNetwork, NoProxy, Patience
from ble.mesh.driver import IV_UPDATE_AT
from ble.mesh.exchange import ByApp, Received
from ble.mesh.iv import MIN_S, Iv
from ble.mesh.keys import network_id
from ble.mesh.presence import Presence
from ble.mesh.proxy import Kind, Whole
from ble.mesh.proxy_filter import Add, FilterType, SetType
from ble.mesh.sequence import Reserved
from ble.mesh.state import MeshState
from ble.mesh.store import JsonStore, MemoryStore
from ble.radio import Advertisement
from tests.ble.mesh.air import ONOFF_GET, ONOFF_SET, ONOFF_STATUS, Air, Node
from tests.ble.mesh.pairs import HUB, NET, NODE, WALL, hub_state

QUICK = Patience(answer_s=0.3, tries=3, proxy_s=2.0, misses=2)
SET_ON = Message(ONOFF_SET, b"\x01\x00")


def client_on(air: Air, patience: Patience = QUICK) -> MeshClient:
    return MeshClient(air, MemoryStore(hub_state()), patience=patience)


async def test_a_lamp_is_switched_and_read_back() -> None:
    node = Node("AA")
    async with client_on(Air(node)) as client:
        answer = await client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,))
        assert (answer, node.on) == (Message(ONOFF_STATUS, b"\x01"), True)
        assert node.filters == [SetType(FilterType.ACCEPT), Add((HUB,))]
        client.hear(groups=[0xC001])
        await client.request(NODE, Message(ONOFF_GET), ByApp(0), answers=(ONOFF_STATUS,))
        assert node.filters[-1] == Add((0xC001,))
    assert node.notify is None


async def test_an_answer_that_is_lost_is_asked_for_again() -> None:
    node = Node("AA")
    node.ignore = 2
    async with client_on(Air(node)) as client:
        await client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,))
        assert node.asked == 3


async def test_a_node_is_away_after_missed_polls_and_back_with_a_word() -> None:
    node = Node("AA")
    node.deaf = True
    told: list[tuple[int, bool]] = []
    async with client_on(Air(node)) as client:
        client.on_presence(lambda address, away: told.append((address, away)))
        for expected in ([], [(NODE, True)]):
            with pytest.raises(NodeSilent):
                await client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,), tries=1)
            assert told == expected
        assert client.away(NODE + 1)
        node.deaf = False
        await client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,))
        assert (told[-1], client.away(NODE)) == ((NODE, False), False)


async def test_a_removed_node_leaves_nothing_but_its_mark_and_its_address() -> None:
    node, store = Node("AA"), MemoryStore(hub_state())
    async with MeshClient(Air(node), store, patience=QUICK) as client:
        await client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,))
        await client.remove_node(NODE)
    saved = await store.load()
    assert saved is not None
    assert (saved.nodes, saved.free_address(0xFF)) == ({}, NODE + 2)
    assert saved.replay[NODE] > 0, "what it said could be said again, under a key still in use"


async def test_what_nodes_say_unasked_is_told() -> None:
    node = Node("AA")
    heard: asyncio.Queue[tuple[Received, Message]] = asyncio.Queue()
    async with client_on(Air(node)) as client:
        await client.connected()
        stop = client.on_message(lambda event, message: heard.put_nowait((event, message)))
        client.on_message(lambda event, message: (_ for _ in ()).throw(ValueError("a listener's mistake")))
        node.stack.send(HUB, Message(ONOFF_STATUS, b"\x01").pack(), ByApp(0), 0.0)
        node.flush()
        async with asyncio.timeout(5):
            event, message = await heard.get()
        assert (event.src, message.parameters) == (NODE, b"\x01")
        stop()


async def test_the_nearest_proxy_and_another_when_it_goes() -> None:
    near, far = Node("near", -40), Node("far", -80, unicast=0x0200)
    air = Air(far, near)
    async with client_on(air) as client:
        await client.connected()
        assert client.proxy == "near"
        air.drop("near")
        while client.proxy != "far":
            await asyncio.sleep(0)
        assert air.connects == ["near", "far"]


async def test_a_proxy_that_does_not_answer_the_filter_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ble.mesh.link.FILTER_S", 0.02)
    near, far = Node("near", -40), Node("far", -80)
    near.mute_filter = True
    air = Air(near, far)
    async with client_on(air) as client:
        await client.connected()
        assert client.proxy == "far"


async def test_no_proxy_is_told_and_silences_nobody() -> None:
    air = Air(Node("AA"))
    air.absent = {"AA"}
    async with client_on(air, Patience(proxy_s=0.05, misses=1)) as client:
        with pytest.raises(NoProxy) as caught:
            await client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,))
        assert caught.value.retryable
        assert not client.away(NODE)


async def test_closing_ends_who_waits_and_leaves_nothing_open() -> None:
    node = Node("AA")
    node.deaf = True
    air = Air(node)
    before = asyncio.all_tasks()
    async with client_on(air, Patience(answer_s=60)) as client:
        waiting = asyncio.create_task(client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,)))
        while not node.filters or not client._asked:
            await asyncio.sleep(0)
    with pytest.raises(NoProxy):
        await waiting
    assert (air.open_connections, air.listeners, asyncio.all_tasks()) == ({}, [], before)


async def test_a_request_can_be_cancelled_and_the_next_goes_on() -> None:
    node = Node("AA")
    node.ignore = 1
    async with client_on(Air(node), Patience(answer_s=60)) as client:
        waiting = asyncio.create_task(client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,)))
        while not node.asked:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (client._asked, client._turns._wanted) == ([], {})
        await client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,))


async def test_numbers_and_marks_are_saved_before_they_are_used(tmp_path: Path) -> None:
    store = JsonStore(tmp_path / "mesh.json")
    await store.save(hub_state())
    node = Node("AA")
    async with MeshClient(Air(node), store, patience=Patience(answer_s=20)) as client:
        for _ in range(300):
            await client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,))
            saved = await store.load()
            assert saved is not None
            assert saved.reserved.upto > max(node.stack.state.replay.values())
            assert saved.replay[NODE] == client.state.replay[NODE]
    assert (await asyncio.to_thread((tmp_path / "mesh.json").stat)).st_mode & 0o777 == 0o600


async def test_a_beacon_moves_the_saved_iv_index(tmp_path: Path) -> None:
    store, node = MemoryStore(hub_state()), Node("AA")
    async with MeshClient(Air(node), store, patience=QUICK) as client:
        await client.connected()
        client._driver.heard(Whole(Kind.BEACON, NetworkBeacon(False, False, 2).secure(NET)))
        client._driver.heard(Whole(Kind.BEACON, b"\x01junk"))
        while client._driver.stack._sequence.reserved.iv_index != 2:
            await asyncio.sleep(0)
        saved = await store.load()
        assert saved is not None
        assert (saved.iv.index, saved.reserved.iv_index) == (2, 2)
        assert client._driver.dropped == 1


def _iv(client: MeshClient) -> tuple[int, bool]:
    return client.state.iv.index, client.state.iv.updating


async def test_an_iv_update_is_begun_in_time_and_ended_after_96_hours() -> None:
    state, wall = hub_state(), WALL
    state.reserved = Reserved(upto=IV_UPDATE_AT + 1)
    node = Node("AA")
    async with MeshClient(Air(node), MemoryStore(state), patience=QUICK, wall=lambda: wall) as client:
        await client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,))
        assert _iv(client) == (1, True)
        wall += MIN_S - 1
        await client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,))
        assert _iv(client) == (1, True)
        wall += 2
        await client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,))
        while _iv(client) != (1, False) or client.state.reserved.iv_index != 1:
            await client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,))
        assert client.state.reserved.upto < 10_000
        await client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,))


async def test_a_store_that_fails_is_told_and_nothing_unsaved_is_acted_on() -> None:
    class Full(MemoryStore):
        async def save_replay(self, marks: dict[int, int]) -> None:
            raise OSError("no space left")

    node, heard = Node("AA"), list[Message]()
    async with MeshClient(Air(node), Full(hub_state()), patience=QUICK) as client:
        client.on_message(lambda event, message: heard.append(message))
        for _ in range(2):
            with pytest.raises(OSError, match="no space left"):
                await client.request(NODE, SET_ON, ByApp(0), answers=(ONOFF_STATUS,))
        assert (heard, client.proxy) == ([], "")


async def test_an_empty_or_broken_store_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoNetwork):
        await MeshClient(Air(), MemoryStore()).__aenter__()
    await asyncio.to_thread((tmp_path / "mesh.json").write_text, "{")
    with pytest.raises(BleError) as caught:
        await JsonStore(tmp_path / "mesh.json").load()
    assert caught.value.code == "state_unreadable"


async def test_stores_give_back_what_was_saved(tmp_path: Path) -> None:
    state = hub_state()
    for store in (MemoryStore(), JsonStore(tmp_path / "mesh.json")):
        assert await store.load() is None
        await store.save(state)
        await store.save_sequence(Iv(index=4), Reserved(iv_index=4, upto=9))
        await store.save_replay({5: 6})
        await store.save_replay({7: 8})
        loaded = await store.load()
        assert isinstance(loaded, MeshState)
        assert (loaded.iv.index, loaded.reserved.upto, loaded.replay) == (4, 9, {5: 6, 7: 8})
        assert (loaded.nodes, loaded.net_keys, loaded.app_keys) == (state.nodes, state.net_keys, state.app_keys)


def test_a_proxy_that_fails_is_shunned_for_longer_each_time() -> None:
    choice, data = Choice(), {PROXY_SERVICE: b"\x00" + network_id(NET)}
    assert not choice.hear(Advertisement(address="x", service_data=data), [bytes(16)], [], 0.0)
    assert choice.hear(Advertisement(address="a", rssi=-50, service_data=data), [NET], [], 0.0)
    assert choice.best(HEARD_S + 1) is None
    waits = []
    now = 0.0
    for _ in range(4):
        choice.failed("a", now)
        at = choice.next_try(now)
        assert at is not None
        waits.append(at - now)
        now = at
    assert waits == [FIRST_PENALTY_S * 2**n for n in range(4)]
    choice.served("a")
    assert choice.best(now) == "a"


def test_presence_tells_changes_only() -> None:
    told: list[tuple[int, bool]] = []
    presence = Presence(lambda address, away: told.append((address, away)), misses=2)
    for _ in range(4):
        presence.missed(1)
    presence.heard(1)
    presence.heard(1)
    presence.missed(1)
    assert told == [(1, True), (1, False)]
