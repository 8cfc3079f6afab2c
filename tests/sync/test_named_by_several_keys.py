"""Somebody whom hub and cloud know by different keys acts at either as the member they are."""

from app.accounts import queries
from tests.api.households import account_of, new_home
from tests.sync.pair import Ends
from tests.sync.together import Together
from tests.waiting import until


async def test_at_the_cloud_with_the_key_of_the_hub(together: Together) -> None:
    room = (await together.at_hub.post(f"{together.home}/rooms", json={"name": "Kitchen"})).json()
    path = f"{together.home}/rooms/{room['id']}"
    await together.level()
    await together.apart(path, {"name": "Bath"}, {"name": "Cellar"})
    (conflict,) = (await together.at_cloud.get(f"{together.home}/conflicts")).json()["items"]
    undone = await together.at_cloud.post(f"{together.home}/conflicts/{conflict['id']}/undo")
    assert undone.status_code == 200, undone.text
    guest = await together.hub.person("guest")
    made = await together.at_cloud.post(f"{together.home}/invitations", json={"role": "guest"})
    await together.level()
    taken = await guest.post("/api/invitations/accept", json={"code": made.json()["code"]})
    assert taken.status_code == 200, taken.text
    await together.level()
    assert (await guest.get(together.home)).status_code == 200
    assert len((await together.at_cloud.get(f"{together.home}/members")).json()["items"]) == 2


async def test_at_the_hub_with_the_key_of_the_cloud(ends_apart: Ends) -> None:
    """The home was made at the cloud; the hub knows its owner by another key of theirs first."""
    together = Together(ends_apart)
    await together.meet()
    hub, at_hub = together.hub, together.at_hub
    key = await together.cloud.store.read(lambda reader: queries.keys_naming(reader, account_of(together.at_cloud))[0])
    await hub.store.write(lambda tx: queries.link_key(tx, key, account_of(at_hub)))
    together.home = await new_home(together.at_cloud)
    attached = await together.at_cloud.post(f"{together.home}/hubs", json={"hub_id": together.both.hub_id})
    assert attached.status_code == 201, attached.text
    await until(lambda: at_hub.get(together.home), lambda it: it.status_code == 200)
    await together.level()
    room = (await at_hub.post(f"{together.home}/rooms", json={"name": "Kitchen"})).json()
    invited = await hub.person("guest")
    await together.invited(invited, "guest", by=at_hub)
    await together.level()
    assert (await together.at_cloud.get(f"{together.home}/rooms/{room['id']}")).json()["name"] == "Kitchen"
    assert len((await together.at_cloud.get(f"{together.home}/members")).json()["items"]) == 2
    assert (await at_hub.get(f"{together.home}/conflicts")).json()["items"] == []
