"""What listeners are told of how homes stand to their cloud."""

import pytest

from app.policy import Action
from app.store.tx import Event
from app.sync import news
from app.sync.news import STEPS, Told
from tests.sync.pair import Ends
from tests.sync.together import Together
from tests.waiting import until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SETTLE_S", "TELL_EVERY_S", "PROGRESS_EVERY_S"):
        monkeypatch.setattr(news, name, 0.01)


def listened(together: Together, at: str, kind: str) -> list[Event]:
    """Events of a type, from now on, as they are on disk."""
    told: list[Event] = []
    getattr(together, at).store.listen(lambda events: told.extend(it for it in events if it.type == kind))
    return told


def data(events: list[Event]) -> list[dict[str, object]]:
    import msgspec

    return [msgspec.json.decode(event.data) for event in events]


async def quiet(together: Together) -> None:
    """Once both ends have told how the home stands now, which they do a little later than it is so."""
    at_hub, at_cloud = (api.services.sync.news._told for api in (together.hub, together.cloud))
    level = Told("synced", True, None), Told("authority", True, None, (together.both.hub_id,))
    await until(lambda: (at_hub.get(together.home_id), at_cloud.get(together.home_id)) == level)


async def test_both_ends_tell_that_the_line_is_cut_and_stands_again(together: Together) -> None:
    await quiet(together)
    at_hub, at_cloud = (listened(together, at, "sync.status") for at in ("hub", "cloud"))
    together.door.cut()
    await until(lambda: bool(at_hub and at_cloud))
    together.door.up.set()
    await quiet(together)
    assert [(it["state"], it["connected"]) for it in data(at_hub)] == [("offline", False), ("synced", True)]
    assert [it["hubs"] for it in data(at_cloud)] == [[], [together.both.hub_id]]
    assert {(event.id, event.home_id, event.sees) for event in (*at_hub, *at_cloud)} == {
        (together.home_id, together.home_id, Action.HOME_READ)
    }


async def test_a_line_that_flaps_is_told_of_seldom(together: Together, monkeypatch: pytest.MonkeyPatch) -> None:
    await quiet(together)
    told = listened(together, "hub", "sync.status")
    monkeypatch.setattr(news, "TELL_EVERY_S", 3_600.0)
    for _ in range(5):
        together.door.cut()
        await until(lambda: together.engine.line is None)
        together.door.up.set()
        await until(lambda: together.engine.line is not None)
    assert len(told) <= 1


async def test_a_first_sync_is_told_in_steps(ends_apart: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.sync.authority.ROWS_AT_ONCE", 1)
    together = Together(ends_apart)
    told = listened(together, "hub", "sync.status")
    await together.begin()
    await until(lambda: any(it["state"] == "synced" for it in data(told)))
    said = [it["progress"] for it in data(told) if it["progress"] is not None]
    assert said == sorted(said)  # type: ignore[type-var]
    assert all(float(it * STEPS).is_integer() for it in said)  # type: ignore[operator]
    assert data(told)[-1]["progress"] is None


async def test_a_conflict_is_told_at_both_ends_to_who_may_see_it(together: Together) -> None:
    room = (await together.at_hub.post(f"{together.home}/rooms", json={"name": "Kitchen"})).json()
    path = f"{together.home}/rooms/{room['id']}"
    await together.level()
    at_hub, at_cloud = (listened(together, at, "conflict.recorded") for at in ("hub", "cloud"))
    await together.apart(path, {"name": "Bath"}, {"name": "Cellar"})
    await until(lambda: bool(at_hub and at_cloud))
    (conflict,) = (await together.at_hub.get(f"{together.home}/conflicts")).json()["items"]
    expected = {"entity_kind": "room", "entity_id": room["id"], "field": "name", "why": "newer"}
    for events in (at_hub, at_cloud):
        assert [(event.id, event.sees) for event in events] == [(conflict["id"], Action.AUDIT_READ)]
        assert data(events) == [expected]
    undone = await together.at_cloud.post(f"{together.home}/conflicts/{conflict['id']}/undo")
    assert undone.status_code == 200, undone.text
    await together.level()
    assert len(at_hub) == len(at_cloud) == 1
    await until(lambda: together.hub.services.sync.news.conflicts == 0)


async def test_the_numbers_that_are_measured(together: Together) -> None:
    news_at_hub = together.hub.services.sync.news
    together.door.cut()
    for name in ("Kitchen", "Bath"):
        await together.at_hub.post(f"{together.home}/rooms", json={"name": name})
    await until(lambda: news_at_hub.to_push == 2)
    together.door.up.set()
    await until(lambda: news_at_hub.to_push == 0 and news_at_hub.to_pull == 0)
    assert together.engine.talk.pushes > 0
