"""How homes stand to their cloud, through the companion API of both: giving, attaching, conflicts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from app.homes import queries as home_queries
from app.homes.model import Home
from app.store.tx import Tx
from app.sync import engine
from tests.api.harness import Api
from tests.api.households import account_of, new_home
from tests.sync.pair import ends
from tests.sync.together import Together
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
NO_SUCH_ID = "01900000-0000-7000-8000-000000000000"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Together]:
    with pytest.MonkeyPatch.context() as patch:
        # How hubs spread over time when a cloud comes back is not what is tried here.
        patch.setattr(engine, "MOST_BACKOFF_S", 0.05)
        async with _begun(tmp_path_factory.mktemp("sync")) as made:
            yield made


@asynccontextmanager
async def _begun(folder: Path) -> AsyncIterator[Together]:
    async with ends(folder) as both:
        made = Together(both)
        await made.begin()
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def together(pair: Together) -> Together:
    """The same hub and cloud for all, with a home for each."""
    return await pair.another()


# status


async def test_a_home_without_a_cloud_is_alone(together: Together) -> None:
    alone = await new_home(together.at_hub)
    view = (await together.at_hub.get(f"{alone}/sync")).json()
    assert (view["state"], view["cloud"], view["progress"], view["problem"]) == ("alone", None, None, "")


async def test_how_a_home_stands_at_both_ends(together: Together) -> None:
    at_hub, at_cloud = [
        (await each.get(f"{together.home}/sync")).json() for each in (together.at_hub, together.at_cloud)
    ]
    assert (at_hub["state"], at_hub["cloud"], at_hub["to_push"], at_hub["to_pull"]) == ("synced", "Cloud", 0, 0)
    assert (at_cloud["state"], at_cloud["hubs"]) == ("authority", 1)
    assert at_hub["head"] == at_cloud["head"] > 0
    assert at_hub["epoch"] == at_cloud["epoch"]
    assert at_hub["last_contact_at"] is not None
    together.door.cut()
    await until(lambda: together.engine.line is None)
    await together.at_hub.post(f"{together.home}/rooms", json={"name": "Attic"})
    cut = (await together.at_hub.get(f"{together.home}/sync")).json()
    assert (cut["state"], cut["to_push"]) == ("offline", 1)
    assert "cut" in cut["problem"]
    assert (await together.at_cloud.get(f"{together.home}/sync")).json()["hubs"] == 0


async def test_who_sees_how_it_stands(together: Together) -> None:
    guest, stranger = await together.hub.person("g-status"), await together.hub.person("s-status")
    await together.invited(guest, "guest", by=together.at_hub)
    assert (await guest.get(f"{together.home}/sync")).status_code == 200
    assert (await stranger.get(f"{together.home}/sync")).status_code == 404
    assert (await guest.get(f"{together.home}/conflicts")).status_code == 403


async def test_a_hub_that_was_sent_away_says_so(together: Together, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together.hub.services.sync, "sent_away", lambda: "Cloud has revoked this hub")
    view = (await together.at_hub.get(f"{together.home}/sync")).json()
    assert (view["state"], view["problem"]) == ("refused", "Cloud has revoked this hub")


# giving


async def test_giving_takes_a_cloud(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        anna = await api.person("anna")
        refused = await anna.post(f"{await new_home(anna)}/sync")
    assert (refused.status_code, refused.json()["code"]) == (409, "no_cloud")


async def test_giving_takes_a_cloud_that_is_there(together: Together) -> None:
    home = await new_home(together.at_hub)
    together.door.cut()
    await until(lambda: together.engine.line is None)
    refused = await together.at_hub.post(f"{home}/sync")
    assert (refused.status_code, refused.json()["code"]) == (503, "cloud_away")
    assert (await together.at_hub.get(f"{home}/sync")).json()["state"] == "alone"


async def test_a_home_of_that_id_that_is_not_this_hubs(together: Together) -> None:
    home = await new_home(together.at_hub)
    home_id = home.rpartition("/")[2]

    def take(tx: Tx) -> None:
        home_queries.insert_home(tx, Home(home_id, "Theirs", "UTC", None, None, "", 0, 1, tx.now, None))

    await together.cloud.store.write(take)
    refused = await together.at_hub.post(f"{home}/sync")
    assert (refused.status_code, refused.json()["code"]) == (409, "home_exists")


async def test_only_the_owner_gives_and_twice_is_once(together: Together) -> None:
    admin = await together.hub.person("a-giving")
    await together.invited(admin, "admin", by=together.at_hub)
    assert (await admin.post(f"{together.home}/sync")).status_code == 403
    again = await together.at_hub.post(f"{together.home}/sync")
    assert (again.status_code, again.json()["state"]) == (200, "synced")
    key = {"Idempotency-Key": "once"}
    home = await new_home(together.at_hub)
    for _ in range(2):
        given = await together.at_hub.post(f"{home}/sync", headers=key)
        assert given.status_code == 200
        assert given.json()["state"] != "alone"


# attaching


async def test_a_home_of_the_clouds_comes_to_a_hub_and_goes(together: Together) -> None:
    home = await new_home(together.at_cloud, name="Lake house")
    await together.at_cloud.post(f"{home}/rooms", json={"name": "Boat house"})
    body, hub_id = {"hub_id": together.both.hub_id}, together.both.hub_id
    attached = await together.at_cloud.post(f"{home}/hubs", json=body)
    assert (attached.status_code, attached.json()["hub_id"]) == (201, hub_id)
    sync = together.hub.services.sync
    home_id = home.rpartition("/")[2]
    await until(lambda: home_id in sync.news.numbers and sync.news.numbers[home_id].head > 0)
    assert home_id in {it.id for it in together.hub.services.standings.homes.values()}
    assert [it["id"] for it in (await together.at_cloud.get(f"{home}/hubs")).json()["items"]] == [hub_id]
    assert (await together.at_cloud.delete(f"{home}/hubs/{hub_id}")).status_code == 204
    await until(lambda: home_id not in together.hub.services.standings.homes)
    assert (await together.at_cloud.delete(f"{home}/hubs/{hub_id}")).status_code == 404
    assert (await together.at_cloud.get(f"{home}/rooms")).json()["items"][0]["name"] == "Boat house"


async def test_nobody_attaches_what_is_not_theirs(together: Together) -> None:
    mallory = await together.cloud.person("mallory")
    own, body = await new_home(mallory), {"hub_id": together.both.hub_id}
    assert (await mallory.post(f"{own}/hubs", json=body)).status_code == 404
    assert (await mallory.post(f"{together.home}/hubs", json=body)).status_code == 404
    assert (await mallory.delete(f"{together.home}/hubs/{together.both.hub_id}")).status_code == 404
    assert (await together.at_cloud.post(f"{together.home}/hubs", json={"hub_id": "h-none"})).status_code == 404
    at_hub = await together.at_hub.post(f"{together.home}/hubs", json=body)
    assert (at_hub.status_code, at_hub.json()["code"]) == (409, "not_a_cloud")


# conflicts


async def test_conflicts_by_state_and_page(together: Together) -> None:
    for name in ("Kitchen", "Bath", "Hall"):
        await together.apart(await together.room(name), {"name": f"{name} 1"}, {"name": f"{name} 2"})
    found = await together.conflicts()
    assert [it["why"] for it in found] == ["newer"] * 3
    first = (await together.at_hub.get(f"{together.home}/conflicts", params={"limit": 2})).json()
    rest = (await together.at_hub.get(f"{together.home}/conflicts", params={"cursor": first["next"]})).json()
    assert [it["id"] for it in first["items"] + rest["items"]] == [it["id"] for it in found]
    path = f"{together.home}/conflicts/{found[1]['id']}"
    dismissed = await together.at_hub.post(f"{path}/dismiss")
    assert (dismissed.status_code, dismissed.json()["state"]) == (200, "dismissed")
    assert [it["id"] for it in await together.conflicts(state="open")] == [found[0]["id"], found[2]["id"]]
    assert [it["id"] for it in await together.conflicts(state="dismissed")] == [found[1]["id"]]
    for verb in ("undo", "dismiss"):
        settled = await together.at_hub.post(f"{path}/{verb}")
        assert (settled.status_code, settled.json()["code"]) == (409, "cannot_undo")
    await together.level()
    assert (await together.at_cloud.get(path)).json()["state"] == "dismissed"
    assert (await together.at_hub.get(f"{together.home}/sync")).json()["conflicts"] == 2
    assert (await together.at_hub.get(f"{together.home}/conflicts/{NO_SUCH_ID}")).status_code == 404


async def test_undoing_is_done_once_however_often_it_is_sent(together: Together) -> None:
    path = await together.room()
    await together.apart(path, {"name": "Bath"}, {"name": "Cellar"})
    (conflict,) = await together.conflicts()
    assert (conflict["lost"]["account_id"], conflict["lost"]["name"]) == (account_of(together.at_hub), "anna")
    undo, key = f"{together.home}/conflicts/{conflict['id']}/undo", {"Idempotency-Key": "undo"}
    answers = [await together.at_hub.post(undo, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    await together.level()
    for client in (together.at_hub, together.at_cloud):
        assert (await client.get(path)).json()["name"] == conflict["lost"]["value"]
    assert len(await together.conflicts()) == 1


async def test_a_room_that_was_removed_meanwhile_is_made_anew(together: Together) -> None:
    path = await together.room()
    together.door.cut()
    assert (await together.at_cloud.delete(path)).status_code == 204
    assert (await together.at_hub.patch(path, json={"name": "Study"})).status_code == 200
    await together.again()
    assert (await together.at_hub.get(path)).status_code == 404
    (conflict,) = await together.conflicts()
    assert (conflict["why"], conflict["entity_kind"]) == ("deleted", "room")
    undone = await together.at_cloud.post(f"{together.home}/conflicts/{conflict['id']}/undo")
    assert undone.status_code == 200, undone.text
    await together.level()
    for client in (together.at_hub, together.at_cloud):
        assert [it["name"] for it in (await client.get(f"{together.home}/rooms")).json()["items"]] == ["Study"]


async def test_what_was_refused_can_be_done_by_who_may(together: Together) -> None:
    path, admin = await together.room(), await together.hub.person("a-refused")
    await together.invited(admin, "admin", by=together.at_hub)
    await together.level()
    together.door.cut()
    removed = await together.at_cloud.delete(await together.member_at_cloud("a-refused"))
    assert removed.status_code == 204
    assert (await admin.patch(path, json={"name": "Study"})).status_code == 200
    gone = await admin.delete(await together_room(together, "Garage", by=admin))
    assert gone.status_code == 204
    await together.again()
    assert (await together.at_hub.get(path)).json()["name"] == "Kitchen"
    refused = {(it["entity_kind"], str(it["lost"]["value"])): it for it in await together.conflicts()}
    renamed = refused["room", "{'name': 'Study'}"]
    assert renamed["why"] == "denied:not_a_member"
    undone = await together.at_hub.post(f"{together.home}/conflicts/{renamed['id']}/undo")
    assert undone.status_code == 200, undone.text
    removal = refused["room", "deleted"]
    cannot = await together.at_hub.post(f"{together.home}/conflicts/{removal['id']}/undo")
    assert (cannot.status_code, cannot.json()["code"]) == (409, "cannot_undo")
    await together.level()
    assert (await together.at_cloud.get(path)).json()["name"] == "Study"


async def together_room(together: Together, name: str, *, by: object) -> str:
    made = await by.post(f"{together.home}/rooms", json={"name": name})  # type: ignore[attr-defined]
    assert made.status_code == 201, made.text
    return f"{together.home}/rooms/{made.json()['id']}"


async def test_conflicts_are_settled_by_who_manages_the_home(together: Together) -> None:
    path, member = await together.room(), await together.hub.person("m-settling")
    await together.invited(member, "member", by=together.at_hub)
    await together.apart(path, {"name": "Bath"}, {"name": "Cellar"})
    (conflict,) = await together.conflicts()
    way = f"{together.home}/conflicts/{conflict['id']}"
    answers = [await member.get(way), await member.post(f"{way}/undo"), await member.post(f"{way}/dismiss")]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
