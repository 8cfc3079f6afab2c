"""Many facts that come at once are in the log first, and shown by the tables in acts of their own."""

from app.caller import BY_SYSTEM
from app.devices.model import NewDevice
from app.store.tx import Reader, Tx
from app.sync import behind_queries, facts, queries
from app.sync.accepting import Sender
from app.sync.cloud_end import Peer
from app.sync.model import Entity, Op, Part, Status
from app.sync.rules import By
from app.sync.wire import DeviceState, Done, Pushed, Reports
from tests.api.harness import Api
from tests.sync.together import Together
from tests.waiting import until

MANY = facts.AT_ONCE + 20


async def bound(together: Together) -> list[str]:
    """Devices that the hub has paired, in one act, and the cloud has by now; their ids."""
    hub, home_id = together.hub, together.home_id
    new = [
        NewDevice(home_id=home_id, hardware_id=f"many-{n}", product_id="lamp", name=f"Lamp {n}") for n in range(MANY)
    ]
    ids = await hub.store.write(lambda tx: [hub.services.devices.bind_in(tx, BY_SYSTEM, it).id for it in new])
    await together.level()
    return ids


async def unshown(api: Api, home_id: str) -> int:
    return await api.store.read(lambda reader: behind_queries.count(reader, home_id))


async def names(api: Api, home_id: str) -> dict[str, str]:
    def ask(reader: Reader) -> dict[str, str]:
        return dict(reader.all("SELECT id, name FROM devices WHERE home_id=?", (home_id,)))

    return await api.store.read(ask)


async def renamed_at_cloud(together: Together, ids: list[str]) -> dict[str, str]:
    """All of them, by an act of the cloud; the hub has it in its log, and does not show it by itself."""
    hub = together.hub
    await hub.services.sync.behind.stop()
    new = {it: f"New {it}" for it in ids}

    def rename(tx: Tx) -> None:
        tx.db.executemany("UPDATE devices SET name=? WHERE id=?", [(name, it) for it, name in new.items()])

    await together.cloud.store.write(rename)
    while not await unshown(hub, together.home_id):
        await together.at_hub.get(f"{together.home}/sync")
    return new


async def test_many_are_in_the_log_before_they_are_shown_and_then_they_are(together: Together) -> None:
    ids = await bound(together)
    assert await names(together.cloud, together.home_id) == {it: f"Lamp {n}" for n, it in enumerate(ids)}
    new = await renamed_at_cloud(together, ids)
    assert await unshown(together.hub, together.home_id) == MANY
    assert new.keys() == (await names(together.hub, together.home_id)).keys()
    assert not new.items() & (await names(together.hub, together.home_id)).items()
    assert (await together.at_hub.get(f"{together.home}/sync")).json()["to_pull"] == MANY
    news = together.hub.services.sync.news
    await until(lambda: news.to_pull == MANY)
    together.hub.services.sync.behind.start()
    memory = together.hub.services.devices.memory
    await until(lambda: all((live := memory.get(it)) is not None and live.device.name == new[it] for it in ids))
    assert await names(together.hub, together.home_id) == new
    assert (await together.at_hub.get(f"{together.home}/sync")).json()["to_pull"] == 0
    await until(lambda: news.to_pull == 0)


async def test_few_are_shown_with_the_log_itself(together: Together) -> None:
    ids = await bound(together)
    few = ids[: facts.AT_ONCE]
    await together.hub.services.sync.behind.stop()
    renames = [(f"New {it}", it) for it in few]
    sql = "UPDATE devices SET name=? WHERE id=?"
    await together.cloud.store.write(lambda tx: tx.db.executemany(sql, renames))
    memory = together.hub.services.devices.memory
    await until(lambda: all((live := memory.get(it)) is not None and live.device.name == f"New {it}" for it in few))
    assert await unshown(together.hub, together.home_id) == 0
    together.hub.services.sync.behind.start()


async def test_an_act_on_a_row_that_is_behind_says_only_what_it_did(together: Together) -> None:
    """What the row had not been told yet is no edit of whoever touches it."""
    hub, home_id = together.hub, together.home_id
    ids = await bound(together)
    new = await renamed_at_cloud(together, ids)
    placed = await together.at_hub.patch(f"/api/devices/{ids[0]}", json={"icon": "lamp"})
    assert placed.status_code == 200, placed.text
    assert placed.json()["name"] == new[ids[0]]
    # The others wait as before.
    assert await unshown(hub, home_id) == MANY - 1
    hub.services.sync.behind.start()
    await together.level()

    def known(reader: Reader) -> Entity | None:
        return queries.entity(reader, home_id, "device", ids[0])

    for api in (hub, together.cloud):
        entity = await api.store.read(known)
        assert entity is not None
        assert (entity.fields["name"], entity.fields["icon"]) == (new[ids[0]], "lamp")
        assert await names(api, home_id) == new
    assert await together.conflicts() == []


async def test_what_is_said_of_devices_that_are_behind_finds_them(together: Together) -> None:
    """A hub tells of devices right after their facts: nothing of that is refused for their not being shown yet."""
    cloud, home_id, hub_id = together.cloud, together.home_id, together.both.hub_id
    sync = cloud.services.sync
    await sync.behind.stop()
    ids = [f"00000000-0000-7000-8000-{n:012}" for n in range(MANY)]
    known = {"product_id": "lamp", "owner_epoch": 1, "holder": hub_id, "name": "Lamp"}
    parts = [Part("device", it, "new", {**known, "hardware_id": f"h-{it}"}) for it in ids]

    def push(tx: Tx) -> Pushed:
        shared = queries.shared(tx, home_id)
        assert shared is not None
        sender = Sender(By(hub_id), tx.now, lambda _: True)
        return sync.authority.push_in(tx, shared, [Op("a-life", 1, "", tx.now << 16, 0, parts)], sender, tx.moment)

    pushed = await cloud.store.write(push)
    assert [it.status for it in pushed.results] == [Status.OK]
    assert await unshown(cloud, home_id) == MANY
    peer = Peer(hub_id, together.hub.services.sync.node)
    answer = await sync.cloud_end.answer(peer, Reports(0, home_id, [DeviceState(ids[-1], 1, True, None, [])]))
    assert answer == Done(0)
    assert len(await names(cloud, home_id)) == MANY
    sync.behind.start()


async def test_a_home_that_leaves_its_cloud_shows_all_that_was_in_its_log(together: Together) -> None:
    new = await renamed_at_cloud(together, await bound(together))
    await together.hub.services.sync.leave_cloud()
    assert await names(together.hub, together.home_id) == new
    assert await unshown(together.hub, together.home_id) == 0
    together.hub.services.sync.behind.start()
