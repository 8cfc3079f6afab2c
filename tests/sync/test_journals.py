"""What happened to devices, from the hub that holds them to its cloud: in order, once, and told where it is missing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.store import retention
from app.sync import stream_queries
from app.sync.cloud_end import Peer
from app.sync.wire import Done, JournalPart
from tests.api.things import bind
from tests.sync.lines import World, world
from tests.waiting import until


@pytest.fixture
async def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with world(tmp_path, monkeypatch) as made:
        yield made


async def _log(it: World, device_id: str, kind: str = "report") -> list[dict[str, Any]]:
    """At the cloud, oldest first."""
    answer = await it.at_cloud.get(f"/api/devices/{device_id}/journal?limit=200&type={kind}")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items[::-1]


async def _says(it: World, device_id: str, *levels: int) -> None:
    for level in levels:
        await it.hub.api.services.devices.reported(device_id, "light", {"brightness": level})


async def _has(it: World, device_id: str, *levels: int) -> None:
    async def is_so() -> bool:
        return [each["value"] for each in await _log(it, device_id)] == list(levels)

    await until(is_so)


async def _all_told(it: World) -> None:
    """The hub knows that its cloud has all of its journal: it is on its disk a little later than the entries there."""
    last = await it.hub.api.store.read(lambda r: r.all("SELECT max(seq) FROM journal"))

    async def is_so() -> bool:
        return await it.hub.api.store.read(lambda r: r.all("SELECT seq FROM sync_journals")) == last

    await until(is_so)


async def test_what_happens_at_the_hub_is_in_the_log_at_the_cloud_in_order_and_once(there: World) -> None:
    lamp = await there.lamp()
    await _says(there, lamp, 10, 20)
    await _has(there, lamp, 10, 20)
    await there.hub.away()
    await _says(there, lamp, 30, 40)
    there.hub.lost_answers.append(JournalPart)
    await there.hub.back()
    await _has(there, lamp, 10, 20, 30, 40)
    await _says(there, lamp, 50)
    await _has(there, lamp, 10, 20, 30, 40, 50)
    assert [each["type"] for each in await _log(there, lamp, "added")] == ["added"]


async def test_a_person_s_command_is_that_person_s_at_the_cloud(there: World) -> None:
    lamp = await there.lamp()
    there.hub.link.up(lamp)
    given = await there.at_hub.post(f"/api/devices/{lamp}/commands", json={"service": "light", "values": {"on": True}})
    assert given.status_code == 202, given.text
    await there.hub.link.answer(await there.hub.link.next())

    async def told() -> bool:
        return len(await _log(there, lamp, "command")) == 1

    await until(told)
    (entry,) = await _log(there, lamp, "command")
    anna = str(there.at_cloud.headers["authorization"]).removeprefix("Bearer ")
    assert entry["source"] == anna
    assert entry["value"]["account_id"] == anna


async def test_what_made_room_before_it_was_told_is_told_as_missing(
    there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp = await there.lamp()
    await _says(there, lamp, 101)
    await _has(there, lamp, 101)
    await _all_told(there)
    await there.hub.away()
    await _says(there, lamp, *range(102, 142))
    keep = retention.Keep("a small journal", keep_days=30, keep_rows=10)
    monkeypatch.setitem(retention.KEEP, "journal", keep)
    await there.hub.api.store.housekeeping.run()
    kept = await there.hub.api.store.read(lambda r: r.all("SELECT value FROM journal ORDER BY seq"))
    assert len(kept) == 10
    await there.hub.back()
    await _has(there, lamp, 101, *(int(row[0]) for row in kept))
    await _all_told(there)
    (gap,) = await _log(there, lamp, "gap")
    assert gap["value"] == {"lost": 30}
    # It stands where they are missing.
    whole = [each["type"] for each in (await there.at_cloud.get(f"/api/devices/{lamp}/journal")).json()["items"]]
    assert whole.index("gap") == 10
    rows = await there.cloud.store.read(lambda r: r.all("SELECT lost FROM sync_journals"))
    assert rows == [(30,)]
    assert await there.hub.api.store.read(lambda r: r.all("SELECT 1 FROM sync_gaps")) == []


async def test_what_was_told_may_make_room_without_a_gap(there: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lamp = await there.lamp()
    await _says(there, lamp, *range(101, 121))
    await _has(there, lamp, *range(101, 121))
    await _all_told(there)
    monkeypatch.setitem(retention.KEEP, "journal", retention.Keep("a small journal", keep_days=30, keep_rows=5))
    await there.hub.api.store.housekeeping.run()
    await _says(there, lamp, 121)
    await _has(there, lamp, *range(101, 122))
    assert await _log(there, lamp, "gap") == []


async def test_more_than_goes_at_once_goes_in_parts(there: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.sync.journals.ENTRIES_AT_ONCE", 7)
    monkeypatch.setattr("app.sync.journals.PLACES_AT_ONCE", 5)
    lamp = await there.lamp()
    await there.hub.away()
    await _says(there, lamp, *range(101, 131))
    await there.hub.back()
    await _has(there, lamp, *range(101, 131))
    assert all(len(it.entries) <= 7 for it in there.hub.asked if isinstance(it, JournalPart))


async def test_a_hub_tells_of_nothing_that_it_does_not_hold_and_nothing_that_cannot_be_read(there: World) -> None:
    lamp = await there.lamp()
    other = await there.second()
    end = there.cloud.services.sync.cloud_end
    sound = (5_000, lamp, 1_000, "report", "brightness", "77", "device")
    assert await end.answer(other.peer, JournalPart(1, there.home, "", 0, [sound])) == Done(1)
    peer = Peer(there.hub.id, "another-life")
    hostile = [
        (1, lamp, 2**62, "report", "x", "1", "device"),
        (2, lamp, 1, "nothing", "x", "1", "device"),
        (3, lamp, 1, "report", "x", "{", "device"),
        (4, lamp, 1, "report", "x" * 10_000, "1", "device"),
        (5, lamp, 1, "report", "x", "1", "s" * 100),
        (6, "nothing", 1, "report", "x", "1", "device"),
        (7, lamp, 1, "gap", "", '{"lost":"many"}', "hub"),
        (-1, lamp, 1, "report", "x", "1", "device"),
        (2**63, lamp, 1, "report", "x", "1", "device"),
        (8, lamp, 1, "report", "brightness", "78", "0" * 64),
    ]
    assert await end.answer(peer, JournalPart(1, there.home, "", 0, hostile)) == Done(1)
    assert [(it["value"], it["source"]) for it in await _log(there, lamp)] == [(78, "0" * 64)]
    again = JournalPart(2, there.home, "", 0, [(8, lamp, 1, "report", "brightness", "79", "device")])
    assert await end.answer(peer, again) == Done(2)
    assert len(await _log(there, lamp)) == 1


@pytest.mark.parametrize("told", [1, 2], ids=["before its reports", "before its journal"])
async def test_a_device_that_comes_once_facts_were_found_level_is_told_of_after_its_own(
    there: World, monkeypatch: pytest.MonkeyPatch, told: int
) -> None:
    store, came = there.hub.api.store, list[str]()
    read, looked = store.read, 0

    async def and_pair(ask: Any) -> Any:
        nonlocal looked
        answer = await read(ask)
        looked += ask is stream_queries.level_homes
        if looked == told and not came:
            came.append("")
            came[0] = await bind(there.hub.api, there.home, "d-1")
            await _says(there, came[0], 10)
        return answer

    monkeypatch.setattr(store, "read", and_pair)
    await until(lambda: bool(came and came[0]))
    await until(lambda: there.cloud.services.devices.memory.get(came[0]) is not None)
    await _has(there, came[0], 10)
    assert [each["type"] for each in await _log(there, came[0], "added")] == ["added"]

    async def is_reported() -> bool:
        return await there.reported(there.cloud, came[0]) == {"brightness": 10}

    await until(is_reported)
