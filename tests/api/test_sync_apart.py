"""What becomes of people and homes that change at one end while the other does not hear of it."""

from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from app.sync import engine
from tests.api.households import account_of
from tests.api.listening import Listening
from tests.sync.pair import ends
from tests.sync.together import Together
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Together]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "MOST_BACKOFF_S", 0.05)
        async with ends(tmp_path_factory.mktemp("apart")) as both:
            made = Together(both)
            await made.begin()
            yield made


@pytest_asyncio.fixture(loop_scope="module")
async def together(pair: Together) -> Together:
    return await pair.another()


async def names(client: httpx2.AsyncClient, path: str) -> set[str]:
    listed = await client.get(path)
    assert listed.status_code == 200, listed.text
    return {it["name"] for it in listed.json()["items"]}


async def roles(client: httpx2.AsyncClient, together: Together) -> dict[str, str]:
    listed = await client.get(f"{together.home}/members")
    assert listed.status_code == 200, listed.text
    return {it["name"]: it["role"] for it in listed.json()["items"]}


async def test_a_home_dissolved_at_the_cloud_is_gone_at_a_hub_that_was_cut_off(together: Together) -> None:
    await together.room()
    together.door.cut()
    body = {"name": "Lindenweg", "members": "remove", "devices": "remove"}
    gone = await together.at_cloud.post(f"{together.home}/dissolve", json=body)
    assert gone.status_code == 204, gone.text
    made = await together.at_hub.post(f"{together.home}/rooms", json={"name": "Too late"})
    assert made.status_code == 201
    together.door.up.set()
    await until(lambda: together.home_id not in together.hub.services.standings.homes)
    assert (await together.at_hub.get(together.home)).status_code == 404
    assert (await together.at_cloud.get(together.home)).status_code == 404
    # Nothing else is in the way of it.
    await together.another()


async def test_a_home_dissolved_at_a_hub_that_was_cut_off_is_gone_at_the_cloud(together: Together) -> None:
    await together.room()
    together.door.cut()
    body = {"name": "Lindenweg", "members": "remove", "devices": "remove"}
    gone = await together.at_hub.post(f"{together.home}/dissolve", json=body)
    assert gone.status_code == 204, gone.text
    assert (await together.at_cloud.post(f"{together.home}/rooms", json={"name": "In vain"})).status_code == 201
    together.door.up.set()
    await until(lambda: together.home_id not in together.cloud.services.standings.homes)
    assert (await together.at_cloud.get(together.home)).status_code == 404
    assert (await together.at_hub.get(together.home)).status_code == 404
    await together.another()


async def test_a_member_put_out_at_the_cloud_has_nothing_of_it_at_the_hub_afterwards(together: Together) -> None:
    ben = await together.hub.person("ben-out")
    await together.invited(ben, "admin", by=together.at_hub)
    path = await together.room()
    async with Listening(together.hub.app, account_of(ben)) as listening:
        assert (await listening.next()).event == "ready"
        together.door.cut()
        assert (await together.at_cloud.delete(await together.member_at_cloud("ben-out"))).status_code == 204
        # Here nobody has heard of that.
        assert (await ben.patch(path, json={"name": "Ben's"})).status_code == 200
        assert (await together.at_hub.get(path)).json()["name"] == "Ben's"
        together.door.up.set()
        await until(lambda: (together.home_id, account_of(ben)) not in together.hub.services.standings.members)
        await together.level()
        assert (await ben.get(together.home)).status_code == 404
        refused = await ben.patch(path, json={"name": "Again"})
        assert refused.status_code == 404
    assert (await together.at_hub.get(path)).json()["name"] == "Kitchen"
    (conflict,) = [it for it in await together.conflicts() if it["entity_kind"] == "room"]
    assert (conflict["why"], conflict["lost"]["value"], conflict["lost"]["name"]) == (
        "denied:not_a_member",
        {"name": "Ben's"},
        "ben-out",
    )
    audit = (await together.at_hub.get(f"{together.home}/audit")).json()["items"]
    assert "sync.refused" in {it["type"] for it in audit}
    assert (await ben.get("/api/me")).status_code == 200


async def test_a_guest_let_in_offline_is_in_at_once_and_confirmed_later(together: Together) -> None:
    guest = await together.hub.person("g-offline")
    together.door.cut()
    await together.invited(guest, "guest", by=together.at_hub)
    assert (await guest.get(together.home)).status_code == 200
    assert (await together.at_hub.get(f"{together.home}/sync")).json()["to_push"] == 2
    assert "g-offline" not in await roles(together.at_cloud, together)
    await together.again()
    assert (await guest.get(together.home)).status_code == 200
    assert (await roles(together.at_cloud, together))["g-offline"] == "guest"
    assert await together.conflicts() == []


@pytest.mark.parametrize("how", ["removed", "lowered"])
async def test_a_guest_let_in_by_who_had_lost_the_right_is_dropped_visibly(together: Together, how: str) -> None:
    ben, guest = await together.hub.person(f"ben-{how}"), await together.hub.person(f"g-{how}")
    await together.invited(ben, "admin", by=together.at_hub)
    await together.level()
    at_cloud = await together.member_at_cloud(f"ben-{how}")
    together.door.cut()
    await together.invited(guest, "guest", by=ben)
    assert (await guest.get(together.home)).status_code == 200
    if how == "removed":
        assert (await together.at_cloud.delete(at_cloud)).status_code == 204
    else:
        assert (await together.at_cloud.patch(at_cloud, json={"role": "member"})).status_code == 200
    await together.again()
    assert (await guest.get(together.home)).status_code == 404
    for client in (together.at_hub, together.at_cloud):
        assert f"g-{how}" not in await roles(client, together)
    lost = await together.conflicts(state="open")
    assert {(it["entity_kind"], it["lost"]["name"]) for it in lost} == {
        ("invitation", f"ben-{how}"),
        ("invitation", f"g-{how}"),
        ("member", f"g-{how}"),
    }
    assert all(it["why"].startswith("denied:") for it in lost)


async def test_a_home_handed_over_at_both_has_one_owner(together: Together) -> None:
    ben, carla = await together.hub.person("ben-heir"), await together.hub.person("carla-heir")
    for person in (ben, carla):
        await together.invited(person, "admin", by=together.at_hub)
    await together.level()
    carla_at_cloud = (await together.member_at_cloud("carla-heir")).rpartition("/")[2]
    together.door.cut()
    over = await together.at_hub.post(f"{together.home}/hand-over", json={"account_id": account_of(ben)})
    assert over.status_code in (200, 204), over.text
    there = await together.at_cloud.post(f"{together.home}/hand-over", json={"account_id": carla_at_cloud})
    assert there.status_code in (200, 204), there.text
    assert (await roles(ben, together))["ben-heir"] == "owner"
    await together.again()
    at_hub, at_cloud = await roles(carla, together), await roles(together.at_cloud, together)
    assert at_hub == at_cloud == {"anna": "admin", "ben-heir": "admin", "carla-heir": "owner"}
    whys = {it["why"] for it in await together.conflicts()}
    assert len(whys) == 1
    assert whys.pop().startswith("denied:")


async def test_leaving_the_cloud_and_coming_back_with_all_it_holds(pair: Together, together: Together) -> None:
    path = await together.room()
    sync, door = together.hub.services.sync, together.door
    await sync.leave_cloud()
    assert (await together.at_hub.get(f"{together.home}/sync")).json()["state"] == "alone"
    assert (await together.at_hub.patch(path, json={"name": "Alone"})).status_code == 200
    made = await together.at_hub.post(f"{together.home}/rooms", json={"name": "Attic"})
    assert made.status_code == 201
    assert (await together.at_cloud.post(f"{together.home}/rooms", json={"name": "Garage"})).status_code == 201
    pair.engine = together.engine = sync.join(together.cloud.services.hub.view().id, "Cloud", door)
    together.engine.start()
    await until(lambda: together.engine.line is not None)
    given = await together.at_hub.post(f"{together.home}/sync")
    assert given.status_code == 200, given.text
    await together.level()
    assert await together.conflicts() == []
    expected = {"Alone", "Attic", "Garage"}
    for client in (together.at_hub, together.at_cloud):
        assert await names(client, f"{together.home}/rooms") == expected
