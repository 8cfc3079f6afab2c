"""A hub and its cloud with all their tables: what is done at one is seen at the other, through the companion API."""

from app.policy import SYSTEM
from app.sync import queries
from app.sync.enrolment.joined import CloudState
from app.sync.wire import Changes, Pull
from tests.sync.together import Together
from tests.waiting import until


async def test_what_is_done_at_one_is_seen_at_the_other(together: Together) -> None:
    room = (await together.at_hub.post(f"{together.home}/rooms", json={"name": "Kitchen"})).json()
    await together.level()
    seen = (await together.at_cloud.get(f"{together.home}/rooms")).json()
    assert [it["name"] for it in seen["items"]] == ["Kitchen"]
    renamed = await together.at_cloud.patch(f"{together.home}/rooms/{room['id']}", json={"name": "Cook"})
    assert renamed.status_code == 200, renamed.text
    await together.level()
    assert (await together.at_hub.get(f"{together.home}/rooms/{room['id']}")).json()["name"] == "Cook"


async def test_what_two_edit_apart_is_a_conflict_that_can_be_undone(together: Together) -> None:
    room = (await together.at_hub.post(f"{together.home}/rooms", json={"name": "Kitchen"})).json()
    path = f"{together.home}/rooms/{room['id']}"
    await together.level()
    together.door.cut()
    assert (await together.at_hub.patch(path, json={"name": "Bath"})).status_code == 200
    assert (await together.at_cloud.patch(path, json={"name": "Cellar"})).status_code == 200
    assert (await together.at_hub.get(path)).json()["name"] == "Bath"
    together.door.up.set()
    await together.level()
    names = {(await client.get(path)).json()["name"] for client in (together.at_hub, together.at_cloud)}
    (conflict,) = (await together.at_hub.get(f"{together.home}/conflicts")).json()["items"]
    assert names == {conflict["kept"]["value"]}
    assert {conflict["kept"]["value"], conflict["lost"]["value"]} == {"Bath", "Cellar"}
    undone = await together.at_hub.post(f"{together.home}/conflicts/{conflict['id']}/undo")
    assert undone.status_code == 200, undone.text
    await together.level()
    assert (await together.at_cloud.get(path)).json()["name"] == conflict["lost"]["value"]
    (settled,) = (await together.at_cloud.get(f"{together.home}/conflicts")).json()["items"]
    assert settled["state"] == "undone"
    await together.cloud.store.housekeeping.run()
    assert len((await together.at_cloud.get(f"{together.home}/conflicts")).json()["items"]) == 1
    together.cloud.forward(91 * 24 * 3_600_000)
    await together.cloud.store.housekeeping.run()
    assert (await together.at_cloud.get(f"{together.home}/conflicts")).json()["items"] == []


async def test_what_waits_hides_what_has_come_from_whoever_edits_next(together: Together) -> None:
    """Whoever edits sees what waits, not what the cloud has by then: it is not lost without a record."""
    made = (await together.at_hub.post(f"{together.home}/rooms", json={"name": "Kitchen"})).json()
    path = f"{together.home}/rooms/{made['id']}"
    await together.level()
    together.door.cut()
    assert (await together.at_hub.patch(path, json={"name": "Bath"})).status_code == 200
    together.cloud.forward(60_000)
    assert (await together.at_cloud.patch(path, json={"name": "Cellar"})).status_code == 200
    home_id, sync, cloud = together.home_id, together.hub.services.sync, together.cloud
    shared = await together.hub.store.read(lambda reader: queries.shared(reader, home_id))
    assert shared is not None
    pull = Pull(0, home_id, shared.epoch, shared.head)
    changes = await cloud.store.read(lambda reader: cloud.services.sync.authority.changes(reader, pull))
    assert isinstance(changes, Changes)
    # It comes before what waits has gone.
    await together.hub.store.write(lambda tx: sync.replica.changed_in(tx, home_id, changes))
    assert (await together.at_hub.get(path)).json()["name"] == "Bath"
    assert (await together.at_hub.patch(path, json={"name": "Attic"})).status_code == 200
    together.door.up.set()
    await together.level()
    final = (await together.at_cloud.get(path)).json()["name"]
    conflicts = (await together.at_cloud.get(f"{together.home}/conflicts")).json()["items"]
    assert "Cellar" in {final, *(it["lost"]["value"] for it in conflicts)}


async def test_a_hub_that_was_sent_away_keeps_its_homes_and_is_alone_once_its_owner_leaves(together: Together) -> None:
    hub = together.hub
    joined = hub.services.enrolment.joined
    assert (await together.at_hub.get("/api/cloud")).json()["state"] == "enrolled"
    gone = await together.at_cloud.delete(f"/api/hubs/{together.both.hub_id}")
    assert gone.status_code == 204, gone.text
    await hub.store.write(lambda tx: joined.end_in(tx, SYSTEM, CloudState.REVOKED))
    view = (await together.at_hub.get(f"{together.home}/sync")).json()
    assert (view["state"], view["problem"]) == ("refused", "Doorstep has revoked this hub")
    room = await together.at_hub.post(f"{together.home}/rooms", json={"name": "Attic"})
    assert room.status_code == 201
    assert (await together.at_hub.delete("/api/cloud")).status_code == 204
    await until(lambda: together.at_hub.get(f"{together.home}/sync"), lambda it: it.json()["state"] == "alone")
    assert [it["name"] for it in (await together.at_hub.get(f"{together.home}/rooms")).json()["items"]] == ["Attic"]
    assert (await together.at_hub.post(f"{together.home}/rooms", json={"name": "Hall"})).status_code == 201


async def test_what_was_kept_by_another_cloud_is_brought_to_this_one(together: Together) -> None:
    together.door.cut()
    await together.at_hub.post(f"{together.home}/rooms", json={"name": "Attic"})
    await together.hub.services.sync.close()
    # The same cloud under another id: to the hub it is one that knows a home of this id.
    together.hub.services.sync.join("h-another", "Other", together.door).start()
    together.door.up.set()
    await until(lambda: together.at_cloud.get(f"{together.home}/rooms"), lambda it: it.json()["items"])
    for client in (together.at_hub, together.at_cloud):
        rooms = (await client.get(f"{together.home}/rooms")).json()["items"]
        assert [it["name"] for it in rooms] == ["Attic"]
