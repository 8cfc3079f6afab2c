"""A hub and its cloud with all their tables: what is done at one is seen at the other, through the companion API."""

from app.sync import queries
from app.sync.wire import Changes, Pull
from tests.sync.together import Together


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
