"""A hub whose clock is a year wrong: what was done later wins all the same, and no field is frozen (PROTOCOL.md 2a)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.store.retention import DAY_MS
from app.sync import engine as engine_module
from app.sync import hybrid, queries
from tests.sync.copies import copy_of, the_same
from tests.sync.pair import ends
from tests.sync.together import Together

YEAR_MS = 365 * DAY_MS
# Between two edits: more than what both machines take to do them.
LATER_MS = 60_000


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long before the next try."""
    monkeypatch.setattr(engine_module, "MOST_BACKOFF_S", 0.05)


@pytest.fixture(params=[YEAR_MS, -YEAR_MS], ids=["ahead", "behind"])
async def wrong(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Together]:
    """The hub's clock is a year ahead, or behind, from before the home is given to the cloud."""
    async with ends(tmp_path) as both:
        both.hub.clock.set(both.hub.clock.now().ms + request.param)
        both.hub.services.bus.clock_changed()
        made = Together(both)
        await made.begin()
        yield made


def time_passes(wrong: Together) -> None:
    for side in (wrong.hub, wrong.cloud):
        side.forward(LATER_MS)


async def names(wrong: Together, path: str) -> set[str]:
    await wrong.level()
    return {(await client.get(path)).json()["name"] for client in (wrong.at_hub, wrong.at_cloud)}


async def test_who_edits_later_wins_whoever_it_is(wrong: Together) -> None:
    room = (await wrong.at_hub.post(f"{wrong.home}/rooms", json={"name": "Kitchen"})).json()
    path = f"{wrong.home}/rooms/{room['id']}"
    await wrong.level()
    rounds = ((wrong.at_hub, wrong.at_cloud), (wrong.at_cloud, wrong.at_hub))
    for number, (first, second) in enumerate(rounds):
        wrong.door.cut()
        time_passes(wrong)
        early, late = (f"{word} of round {number}" for word in ("early", "late"))
        assert (await first.patch(path, json={"name": early})).status_code == 200
        time_passes(wrong)
        assert (await second.patch(path, json={"name": late})).status_code == 200
        time_passes(wrong)
        wrong.door.up.set()
        assert await names(wrong, path) == {late}
    conflicts = (await wrong.at_cloud.get(f"{wrong.home}/conflicts")).json()["items"]
    assert [it["lost"]["value"] for it in conflicts] == ["early of round 0", "early of round 1"]


async def test_no_field_is_frozen(wrong: Together) -> None:
    for number, client in enumerate([wrong.at_hub, wrong.at_cloud] * 3):
        time_passes(wrong)
        assert (await client.patch(wrong.home, json={"name": f"name {number}"})).status_code == 200
        assert await names(wrong, wrong.home) == {f"name {number}"}
    assert (await wrong.at_cloud.get(f"{wrong.home}/conflicts")).json()["items"] == []


async def test_no_stamp_is_later_than_the_cloud_and_both_have_the_same(wrong: Together) -> None:
    for number in range(5):
        assert (await wrong.at_hub.post(f"{wrong.home}/rooms", json={"name": f"{number}"})).status_code == 201
    await wrong.level()
    now = wrong.cloud.clock.now().ms
    entities = await wrong.cloud.store.read(lambda reader: queries.every_entity(reader, wrong.home_id))
    late = [it for it in entities if hybrid.to_ms(max(it.stamp.at, *(s.at for s in it.stamps.values()), 0)) > now]
    assert late == []
    the_same([await copy_of(api, name, wrong.home_id) for name, api in (("hub", wrong.hub), ("cloud", wrong.cloud))])


async def test_a_clock_that_is_put_right_meanwhile_loses_nothing(wrong: Together) -> None:
    """Its own numbers keep the order of what it did, whatever its clock said then."""
    room = (await wrong.at_hub.post(f"{wrong.home}/rooms", json={"name": "Kitchen"})).json()
    path = f"{wrong.home}/rooms/{room['id']}"
    await wrong.level()
    wrong.door.cut()
    for name in ("one", "two"):
        assert (await wrong.at_hub.patch(path, json={"name": name})).status_code == 200
    wrong.hub.clock.set(wrong.cloud.clock.now().ms)
    wrong.hub.services.bus.clock_changed()
    assert (await wrong.at_hub.patch(path, json={"name": "three"})).status_code == 200
    wrong.door.up.set()
    assert await names(wrong, path) == {"three"}
    assert (await wrong.at_hub.get(f"{wrong.home}/conflicts")).json()["items"] == []
