"""What one hub of a home says of its devices, seen at another: by way of their cloud, newest only."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.devices import queries as device_queries
from app.devices.memory import Live
from app.store.tx import Tx
from app.sync import engine, facts, mirrored, mirrors, queries, reports
from app.sync.cloud_end import Peer
from app.sync.reports import Service
from app.sync.wire import Answer, DeviceState, Mirror, Mirrored, MirrorGrown, Reset, Wiped
from tests.api.harness import Api
from tests.api.things import bind
from tests.sync.lines import HubSide, World, level, world
from tests.waiting import until


class Pair:
    """`one` holds the home's devices, `two` shows them."""

    def __init__(self, world: World, two: HubSide) -> None:
        self.world = world
        self.one, self.two = world.hub, two

    async def lamp(self, name: str = "d-1", **fields: Any) -> str:
        """A lamp of `one`, which `two` has heard of."""
        device_id = await self.world.lamp(name, **fields)
        await level(self.two, self.world.home)
        return device_id

    async def says(self, device_id: str, **values: Any) -> None:
        """The lamp reports, to the hub that holds it."""
        await self.one.api.services.devices.reported(device_id, "light", values)

    async def shows(self, device_id: str, **wanted: Any) -> None:
        """Return once `two` shows the lamp so."""
        await self.world.shows(self.two.api, device_id, wanted)

    def live(self, device_id: str) -> Live:
        """The lamp as `two` has it."""
        live = self.two.api.services.devices.memory.get(device_id)
        assert live is not None
        return live

    def asked(self) -> list[Mirror]:
        """What `two` has asked of others' devices."""
        return [it for it in self.two.asked if isinstance(it, Mirror)]

    async def ask(self, by: HubSide, since: int = 0, turn: tuple[str, int] = ("", 0)) -> Mirrored:
        """What the cloud answers."""
        epoch, _ = self.world.cloud.services.sync.cloud_end.heads[self.world.home]
        request = Mirror(1, self.world.home, epoch, since, turn)
        answer = await self.world.cloud.services.sync.cloud_end.answer(by.peer, request)
        assert isinstance(answer, Mirrored)
        return answer


@pytest.fixture
async def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    async with world(tmp_path, monkeypatch) as made:
        yield Pair(made, await made.second())


async def test_what_a_device_reports_to_one_hub_is_seen_at_the_other(pair: Pair) -> None:
    lamp = await pair.lamp()
    pair.one.link.up(lamp)
    await pair.says(lamp, on=True, brightness=40)
    await pair.shows(lamp, on=True, brightness=40)
    await until(lambda: pair.live(lamp).online)
    await pair.says(lamp, brightness=60)
    await pair.shows(lamp, on=True, brightness=60)
    events = await pair.two.api.store.read(
        lambda r: r.all("SELECT DISTINCT type FROM events WHERE device_id=? AND type='device.reported'", (lamp,))
    )
    assert events == [("device.reported",)]
    at_cloud, at_two = [await _version(api, lamp) for api in (pair.world.cloud, pair.two.api)]
    assert at_cloud == at_two > 0
    # The log of a device, and who told the cloud of it, are its hub's.
    noted = await pair.two.api.store.read(lambda r: r.all("SELECT 1 FROM journal"))
    marked = await pair.two.api.store.read(lambda r: r.all("SELECT 1 FROM sync_reports"))
    assert noted == marked == []


async def _version(api: Api, device_id: str) -> int:
    state = await api.store.read(lambda r: api.services.devices.shadows.state_in(r, device_id, "light"))
    return state.version


async def test_a_wish_for_it_is_seen_at_both_and_met(pair: Pair) -> None:
    lamp = await pair.lamp()
    pair.one.link.up(lamp)
    await pair.says(lamp, on=False)
    await pair.shows(lamp, on=False)
    at_one = pair.world.at_hub
    wished = await at_one.patch(f"/api/devices/{lamp}/services/light/desired", json={"values": {"on": True}})
    assert wished.status_code == 200, wished.text
    await until(lambda: pair.world.desired(pair.two.api, lamp), lambda it: it == {"on": True})
    # What is wanted through the cloud, and has not reached its hub, is nobody else's yet.
    await pair.one.away()
    path = f"/api/devices/{lamp}/services/light/desired"
    assert (await pair.world.at_cloud.patch(path, json={"values": {"on": False}})).status_code == 200
    assert await pair.world.desired(pair.world.cloud, lamp) == {"on": False}
    (said,) = [it for it in (await pair.ask(pair.two)).devices if it.services]
    assert {name: value for name, (value, _) in said.services[0][3].items()} == {"on": True}


async def test_a_hub_that_was_away_hears_the_newest_alone_and_what_it_has_heard_not_again(pair: Pair) -> None:
    first, second = await pair.lamp("d-1"), await pair.lamp("d-2")
    await pair.says(first, on=True)
    await pair.says(second, on=True)
    await pair.shows(first, on=True)
    await pair.shows(second, on=True)
    await pair.two.away()
    for brightness in range(10, 41):
        await pair.says(first, brightness=brightness)
    await pair.world.shows(pair.world.cloud, first, {"on": True, "brightness": 40})
    since = (await pair.ask(pair.two)).since
    pair.two.asked.clear()
    await pair.two.back()
    await pair.shows(first, on=True, brightness=40)
    assert await _version(pair.two.api, first) == await _version(pair.world.cloud, first)
    begun = pair.asked()[0]
    assert 0 < begun.since < since
    assert begun.turn == mirrored.NEVER
    answer = await pair.ask(pair.two, begun.since)
    assert {it.device_id for it in answer.devices if it.services} == {first}


async def test_whether_devices_are_there_is_known_while_the_cloud_is_heard(pair: Pair) -> None:
    for api in (pair.one.api, pair.two.api, pair.world.cloud):
        api.services.devices.presence.grace = 0.0
    there, gone = await pair.lamp("d-1"), await pair.lamp("d-2")
    pair.one.link.up(there)
    pair.one.link.up(gone)
    await until(lambda: pair.live(there).online and pair.live(gone).online)
    pair.one.api.services.devices.offline(gone, "lan")
    await until(lambda: not pair.live(gone).online)
    await pair.two.away()
    await until(lambda: not pair.live(there).online)
    await pair.two.back()
    await until(lambda: pair.live(there).online)
    # Their own hub is not heard any more: then nobody knows.
    await pair.one.away()
    await until(lambda: not pair.live(there).online)
    await pair.one.back()
    await until(lambda: pair.live(there).online)
    assert not pair.live(gone).online


async def test_a_cloud_that_was_away_for_a_moment_makes_nobody_blink(pair: Pair) -> None:
    lamp = await pair.lamp()
    pair.world.cloud.services.devices.presence.grace = 0.0
    pair.one.link.up(lamp)
    await until(lambda: pair.live(lamp).online)
    await pair.two.away()
    await pair.one.away()
    at_cloud = pair.world.cloud.services.devices.memory.get(lamp)
    await until(lambda: at_cloud is not None and not at_cloud.online)
    # This hub is back first, and the cloud does not know of the lamp yet.
    await pair.two.back()
    await until(pair.two.api.services.devices.absences.hears_others)
    assert pair.live(lamp).online
    await pair.one.back()
    await until(lambda: pair.two.api.services.devices.presence.links_of(lamp))
    told = await pair.two.api.store.read(lambda r: r.all("SELECT type FROM events WHERE type='device.offline'"))
    assert told == []


async def test_a_notice_that_was_lost_costs_one_look_again(pair: Pair) -> None:
    lamp = await pair.lamp()
    await pair.says(lamp, on=True)
    await pair.shows(lamp, on=True)
    pair.world.cloud.services.streams._mirror_out._told.add((pair.two.id, pair.world.home))
    await pair.says(lamp, on=False)
    await pair.shows(lamp, on=False)


async def test_one_that_is_paired_anew_here_is_there_by_its_own_link_alone(pair: Pair) -> None:
    lamp = await pair.lamp("d-1")
    presence = pair.two.api.services.devices.presence
    presence.grace = 0.0
    pair.one.link.up(lamp)
    await until(lambda: pair.live(lamp).online)
    await bind(pair.two.api, pair.world.home, "d-1", owner_epoch=2)
    here = pair.two.api.services.devices.of_hardware("d-1")
    assert here is not None
    pair.two.link.up(here.id)
    await until(lambda: presence.links_of(here.id) == ("lan",))
    presence.offline(here.id, "lan")
    await until(lambda: not pair.live(here.id).online)


async def test_a_device_that_comes_to_this_hub_is_its_own_and_keeps_what_was_known(pair: Pair) -> None:
    lamp = await pair.lamp()
    pair.two.api.services.devices.presence.grace = 0.0
    pair.one.link.up(lamp)
    await pair.says(lamp, on=True, brightness=40)
    await pair.shows(lamp, on=True, brightness=40)
    await until(lambda: pair.live(lamp).online)
    await pair.one.api.store.write(lambda tx: _stand_by_in(tx, pair, lamp))
    await level(pair.one, pair.world.home)
    await level(pair.two, pair.world.home)
    assert await pair.two.api.services.devices.handing.take_over(lamp)
    # The other hub's word is none any more, and no link is up here yet.
    await until(lambda: not pair.live(lamp).online)
    assert await pair.world.reported(pair.two.api, lamp) == {"on": True, "brightness": 40}
    await level(pair.two, pair.world.home)
    await level(pair.one, pair.world.home)
    pair.two.link.up(lamp)
    await pair.two.api.services.devices.reported(lamp, "light", {"brightness": 80})
    await pair.world.shows(pair.one.api, lamp, {"on": True, "brightness": 80})
    at_one = pair.one.api.services.devices.memory.get(lamp)
    assert at_one is not None
    await until(lambda: at_one.online)


def _stand_by_in(tx: Tx, pair: Pair, device_id: str) -> None:
    device = device_queries.device(tx, device_id)
    assert device is not None
    pair.one.api.services.devices.registry.replace_in(tx, device, standby=pair.two.id)


async def test_nobody_is_alerted_of_devices_of_others_while_their_cloud_is_not_heard(pair: Pair) -> None:
    lamp = await pair.lamp()
    devices = pair.two.api.services.devices
    devices.presence.grace = 0.0
    pair.one.link.up(lamp)
    await until(lambda: pair.live(lamp).online)
    await pair.two.away()
    await until(lambda: not pair.live(lamp).online)
    alerts = await _alerts(pair, lamp)
    assert alerts == 0
    # Once it is heard that it is gone, it is.
    pair.one.api.services.devices.presence.lost(lamp)
    at_cloud = pair.world.cloud.services.devices.memory.get(lamp)
    await until(lambda: at_cloud is not None and not at_cloud.online)
    await pair.two.back()
    await until(devices.absences.hears_others)
    assert await _alerts(pair, lamp) == 1


async def _alerts(pair: Pair, device_id: str) -> int:
    """Told of a device at `two`, where it has been gone for a day."""
    api = pair.two.api

    async def is_gone() -> bool:
        return bool(
            await api.store.read(lambda r: r.all("SELECT 1 FROM device_absences WHERE device_id=?", (device_id,)))
        )

    await until(is_gone)
    absences = api.services.devices.absences
    absences._begun.clear()
    await api.store.write(lambda tx: tx.run("UPDATE device_absences SET since=since-86400000"))
    return await api.store.write(absences.alert_in)


async def test_pages_are_bounded_and_come_to_an_end(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    lamps = [await pair.lamp(f"d-{n}") for n in range(5)]
    await pair.two.away()
    for lamp in lamps:
        await pair.says(lamp, on=True)
        pair.one.link.up(lamp)
    memory = pair.world.cloud.services.devices.memory
    await until(lambda: all((live := memory.get(lamp)) is not None and live.online and live.services for lamp in lamps))
    monkeypatch.setattr(mirrors, "SERVICES_AT_ONCE", 2)
    monkeypatch.setattr(mirrors, "DEVICES_AT_ONCE", 2)
    since, turn, more = 0, mirrored.NEVER, True
    pages: list[Mirrored] = []
    while more:
        pages.append(page := await pair.ask(pair.two, since, turn))
        since, turn, more = page.since, page.turn, page.more
    assert len(pages) == 3
    assert sorted(it.device_id for page in pages for it in page.devices if it.services) == sorted(lamps)
    assert {it.device_id for page in pages for it in page.devices} == {*lamps}
    assert (await pair.ask(pair.two, since, turn)).devices == []
    # As many as there are of either.
    monkeypatch.setattr(mirrors, "SERVICES_AT_ONCE", 10)
    turns, more, turn = 0, True, mirrored.NEVER
    while more:
        page = await pair.ask(pair.two, since, turn)
        turn, more, turns = page.turn, page.more, turns + 1
    assert turns == 3
    # Nothing of it is of interest to who has said it.
    assert (await pair.ask(pair.one)).devices == []
    # What another life of the cloud has counted is nothing here.
    assert len((await pair.ask(pair.two, since, ("another", turn[1]))).devices) == 2
    monkeypatch.setattr(mirrors, "OCTETS_AT_ONCE", 0)
    monkeypatch.setattr(mirrors, "SERVICES_AT_ONCE", reports.SERVICES_AT_ONCE)
    page = await pair.ask(pair.two)
    assert page.more
    assert sum(len(it.services) for it in page.devices) == 1
    await pair.two.back()
    for lamp in lamps:
        await pair.shows(lamp, on=True)
    await until(lambda: all(pair.live(lamp).online for lamp in lamps))


async def test_what_is_said_of_a_device_that_is_new_waits_for_its_facts(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    talking = pair.two.api.services.sync.engine
    assert talking is not None
    with monkeypatch.context() as patch:

        async def nothing(*_: object) -> bool:
            return False

        # It asks before it has heard of the lamp.
        patch.setattr(talking._catching_up, "go_on", nothing)
        lamp = await pair.world.lamp()
        pair.two.asked.clear()
        await pair.says(lamp, on=True)
        await until(pair.asked)
        for many in (2, 3):
            talking.wake()
            await until(lambda many=many: len(pair.asked()) >= many)  # type: ignore[misc]
        assert pair.two.api.services.devices.memory.get(lamp) is None
    talking.wake()
    await pair.shows(lamp, on=True)


async def test_what_is_said_of_many_that_are_new_waits_for_the_tables(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "AT_ONCE", 2)
    await pair.two.away()
    lamps = [await pair.world.lamp(f"d-{n}") for n in range(5)]
    for lamp in lamps:
        await pair.says(lamp, on=True)
        await pair.world.shows(pair.world.cloud, lamp, {"on": True})
    await pair.two.back()
    for lamp in lamps:
        await pair.shows(lamp, on=True)


async def test_a_hub_that_has_heard_all_asks_no_more(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOOK_AGAIN_S", 600.0)
    lamp = await pair.lamp()
    await pair.says(lamp, on=True)
    await pair.shows(lamp, on=True)
    await until(pair.two.api.services.devices.absences.hears_others)
    asked = len(pair.asked())
    for name in ("Attic", "Cellar"):
        made = await pair.world.at_hub.post(f"/api/homes/{pair.world.home}/rooms", json={"name": name})
        assert made.status_code == 201, made.text
        await level(pair.one, pair.world.home)
        await level(pair.two, pair.world.home)
    assert len(pair.asked()) == asked


async def test_what_a_cloud_says_of_devices_of_this_hub_or_of_another_binding_is_passed_over(pair: Pair) -> None:
    home, lamp = pair.world.home, await pair.lamp()
    own = await bind(pair.two.api, home, "own")
    await level(pair.two, home)
    epoch, head = pair.world.cloud.services.sync.cloud_end.heads[home]
    service: Service = ("light", 7, {"on": (True, 1_000)}, {})
    said = [DeviceState(it, n, True, None, [service]) for it, n in ((own, 1), (lamp, 2), ("nothing", 1))]
    answers = [Mirrored(0, home, it, head, said, 5, ("life", 1), more=False) for it in ("another", epoch)]

    async def answer(_: Peer, request: Mirror) -> Mirrored:
        return answers[0] if len(answers) == 1 else answers.pop(0)

    await pair.two.away()
    pair.world.cloud.services.sync.cloud_end.handlers[Mirror] = answer
    pair.two.asked.clear()
    await pair.two.back()
    await until(pair.two.api.services.devices.absences.hears_others)
    assert [it.since for it in pair.asked()] == [0, 0]
    rows = await pair.two.api.store.read(lambda r: r.all("SELECT epoch, place FROM sync_mirrors"))
    assert rows == [(epoch, 5)]
    for device_id in (own, lamp):
        assert await pair.world.reported(pair.two.api, device_id) == {}
        assert not pair.live(device_id).online


async def test_a_hub_that_leaves_and_comes_back_hears_all_of_it_again(pair: Pair) -> None:
    home, lamp = pair.world.home, await pair.lamp()
    await pair.says(lamp, on=True)
    await pair.shows(lamp, on=True)
    path = f"/api/homes/{home}/hubs"
    gone = await pair.world.at_cloud.delete(f"{path}/{pair.two.id}")
    assert gone.status_code == 204, gone.text
    await until(lambda: pair.two.api.services.devices.memory.get(lamp) is None)
    assert (await pair.world.at_cloud.post(path, json={"hub_id": pair.two.id})).status_code == 201
    await level(pair.two, home)
    await pair.shows(lamp, on=True)


async def test_a_hub_is_told_once_that_there_is_more(pair: Pair) -> None:
    lamp = await pair.lamp()
    await pair.says(lamp, on=True)
    await pair.shows(lamp, on=True)
    end, told = pair.world.cloud.services.sync.cloud_end, list[Answer]()
    await pair.two.away()

    def tell(notice: Answer) -> bool:
        told.append(notice)
        return True

    disconnect = end.connect(pair.two.peer, tell)
    for brightness in (10, 20, 30):
        await pair.says(lamp, brightness=brightness)
        await pair.world.shows(pair.world.cloud, lamp, {"on": True, "brightness": brightness})
    assert [it for it in told if isinstance(it, MirrorGrown)] == [MirrorGrown(0, pair.world.home)]
    await pair.ask(pair.two)
    await pair.says(lamp, brightness=40)
    await until(lambda: sum(isinstance(it, MirrorGrown) for it in told) == 2)
    disconnect()


async def test_a_hub_of_another_home_and_one_of_another_life_are_told_nothing(pair: Pair) -> None:
    lamp = await pair.lamp()
    await pair.says(lamp, on=True)
    await pair.shows(lamp, on=True)
    end, home = pair.world.cloud.services.sync.cloud_end, pair.world.home
    epoch, _ = end.heads[home]
    stranger = Peer("somebody", "else")
    assert isinstance(await end.answer(stranger, Mirror(1, home, epoch, 0, mirrored.NEVER)), Wiped)
    assert isinstance(await end.answer(pair.two.peer, Mirror(1, home, "another", 0, mirrored.NEVER)), Reset)
    for since in (-1, 2**62):
        # A cursor that was never given begins anew.
        assert [it.device_id for it in (await pair.ask(pair.two, since)).devices if it.services] == [lamp]


async def test_a_cloud_that_is_back_from_a_backup_is_heard_from_the_beginning(pair: Pair) -> None:
    lamp, other = await pair.lamp("d-1"), await pair.lamp("d-2")
    await pair.says(lamp, on=True, brightness=40)
    for on in (True, False, True):
        await pair.says(other, on=on)
        await pair.shows(other, on=on)
    await pair.shows(lamp, on=True, brightness=40)
    cloud, home = pair.world.cloud, pair.world.home
    await pair.one.away()
    await pair.two.away()

    def renew(tx: Tx) -> None:
        shared = queries.shared(tx, home)
        assert shared is not None
        cloud.services.sync.authority.renew_in(tx, shared, "a new life")
        tx.run("UPDATE sync_mirrors SET place=0")
        tx.run("DELETE FROM sync_heard")
        tx.run("UPDATE shadow_versions SET version=0")

    await cloud.store.write(renew)
    # So is the hub, and counts from the beginning.
    await pair.one.api.store.write(lambda tx: tx.run("UPDATE shadow_versions SET version=0"))
    cloud.services.sync.cloud_end.heads.clear()
    await cloud.services.sync.cloud_end.open()
    await pair.says(other, on=False)
    await pair.one.back()
    await pair.two.back()
    await level(pair.one, home)
    await level(pair.two, home)
    await pair.shows(other, on=False)
    await pair.says(lamp, brightness=50)
    await pair.shows(lamp, on=True, brightness=50)
