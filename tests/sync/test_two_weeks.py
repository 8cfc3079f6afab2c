"""Two weeks without a network in fast motion: the hub's disk is held, no fact is lost, and both catch up."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec import structs

from app.store import retention
from app.store.checkpoint import REUSE_ABOVE_BYTES, TRUNCATE_ABOVE_BYTES
from app.store.retention import DAY_MS, KEEP
from app.store.tx import Reader, Tx
from app.sync.stream_queries import last_place
from tests.api.things import bind
from tests.sync.copies import copy_of, the_same
from tests.sync.history import Edit, Outcome
from tests.sync.together import Together
from tests.waiting import until

WEEKS_MS = 14 * DAY_MS
AT_ONCE = 500
DEVICES = 40
WAIT = 1_200.0
# A row of each history with its part of the indexes, measured: what `KEEP` bounds, in octets.
JOURNAL_ROW, EVENT_ROW = 260, 520
# Schema, products, accounts, homes, logs and their outbox (1 KiB for each edit), and free pages between two sweeps.
REST = 16 * 1024 * 1024
# The write-ahead log: cut back above its limit at the next look, and what full load writes until then, twice.
LOG = TRUNCATE_ABOVE_BYTES + 2 * REUSE_ABOVE_BYTES


def bound(edits: int) -> int:
    """How large the database may become: each history as many rows as it keeps."""
    journal, events = KEEP["journal"].keep_rows or 0, KEEP["events"].keep_rows or 0
    return journal * JOURNAL_ROW + events * EVENT_ROW + edits * 4_096 + REST


class Side:
    """One of both, and what Anna does there."""

    def __init__(self, name: str, client: httpx2.AsyncClient, home: str, dice: random.Random) -> None:
        self.name = name
        self.edits: list[Edit] = []
        self._client = client
        self._home = home
        self._dice = dice

    async def edit(self, number: int) -> None:
        """A room is made, another renamed or removed, or the home is called something else."""
        name = f"{number} of {self.name}"
        rooms = (await self._done("GET", f"{self._home}/rooms?limit=100"))["items"]
        chance = self._dice.random()
        if len(rooms) < 5 or (chance < 0.2 and len(rooms) < 30):
            made = await self._done("POST", f"{self._home}/rooms", {"name": name})
            self.edits.append(Edit(self.name, "new", "room", made["id"], {"name": name}, {}))
            return
        old = self._dice.choice(rooms)
        kind, path = "room", f"{self._home}/rooms/{old['id']}"
        if chance > 0.9:
            kind, path, old = "home", self._home, await self._done("GET", self._home)
        over = {"name": old["name"]}
        if 0.8 < chance <= 0.9:
            await self._done("DELETE", path)
            self.edits.append(Edit(self.name, "del", kind, old["id"], {}, over))
        else:
            await self._done("PATCH", path, {"name": name})
            self.edits.append(Edit(self.name, "put", kind, old["id"], {"name": name}, over))

    async def _done(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


class Weeks:
    """Both, with nothing between them."""

    def __init__(self, together: Together) -> None:
        self.together = together
        self.hub, self.cloud = together.hub, together.cloud
        self.devices: list[str] = []
        dice = random.Random(7)
        self.sides = [
            Side("hub", together.at_hub, together.home, dice),
            Side("cloud", together.at_cloud, together.home, dice),
        ]
        self.most_octets = self.most_logged = 0

    async def begin(self) -> None:
        for number in range(DEVICES):
            self.devices.append(await bind(self.hub, self.together.home_id, f"d-{number}"))
        await self.together.level()
        await self.is_told()
        self.together.door.cut()

    async def pass_by(self, reports: int, edits: int) -> None:
        """Reports come in all the time, edits now and then, and the house is kept."""
        batches = reports // AT_ONCE
        done = 0
        for batch in range(batches):
            await self.hub.store.write(lambda tx, batch=batch: self._report_in(tx, batch))  # type: ignore[misc]
            for api in (self.hub, self.cloud):
                api.forward(WEEKS_MS // batches)
            while done < edits * (batch + 1) // batches:
                for side in self.sides:
                    await side.edit(done)
                done += 1
            if batch % 8 == 7:
                await self.hub.store.housekeeping.run()
                await self._measure()
        await self.hub.store.housekeeping.run()
        await self._measure()

    def _report_in(self, tx: Tx, batch: int) -> None:
        for number in range(AT_ONCE):
            device_id = self.devices[(batch * AT_ONCE + number) % DEVICES]
            values = {"on": bool(number % 2), "brightness": 1 + (batch + number) % 100}
            self.hub.services.devices.shadows.reported_in(tx, device_id, "light", values)

    async def _measure(self) -> None:
        path = self.hub.store.path
        self.most_octets = max(self.most_octets, await asyncio.to_thread(_octets, path))
        log = path.with_name(path.name + "-wal")
        self.most_logged = max(self.most_logged, await asyncio.to_thread(_octets, log))

    async def catch_up(self) -> float:
        """Seconds from the first connection until the cloud has all there is."""
        self.together.door.up.set()
        async with asyncio.timeout(WAIT):
            while self.together.engine.line is None:
                await asyncio.sleep(0.01)
            began = time.perf_counter()
            await self.together.level()
            await self.is_told()
        return time.perf_counter() - began

    async def is_told(self) -> None:
        """Return once the cloud has heard what devices are, and what happened to them."""
        await until(lambda: self.hub.store.read(_untold), lambda it: not it, within=WAIT)


def _octets(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _untold(reader: Reader) -> bool:
    marks = reader.all("SELECT 1 FROM sync_reports LIMIT 1")
    behind = reader.all(
        "SELECT 1 FROM journal j JOIN sync_journals s ON s.home_id=j.home_id AND s.node='' WHERE j.seq>s.seq LIMIT 1"
    )
    never = not reader.all("SELECT 1 FROM sync_journals WHERE node=''")
    return bool(marks or behind or never)


def _journal(reader: Reader) -> Counter[str]:
    return Counter(dict(reader.all("SELECT type, count(*) FROM journal GROUP BY type")))


def _shadows(reader: Reader) -> list[Any]:
    return reader.all("SELECT device_id, service, property, reported FROM shadow ORDER BY 1, 2, 3")


async def two_weeks(together: Together, reports: int, edits: int, figure: Callable[[str], None]) -> None:
    weeks = Weeks(together)
    await weeks.begin()
    began = time.perf_counter()
    heard, before = await weeks.cloud.store.read(_journal), await weeks.hub.store.read(last_place)
    await weeks.pass_by(reports, edits)
    passed = time.perf_counter() - began
    assert weeks.most_octets < bound(edits)
    assert weeks.most_logged < LOG
    waiting = (await together.at_hub.get(f"{together.home}/sync")).json()
    took = await weeks.catch_up()
    copies = [await copy_of(api, name, together.home_id) for name, api in (("hub", weeks.hub), ("cloud", weeks.cloud))]
    the_same(copies)
    made = [edit for side in weeks.sides for edit in side.edits]
    outcome = Outcome(copies[0].entities, made)
    assert (len(made), outcome.lost()) == (2 * edits, [])
    assert await weeks.hub.store.read(_shadows) == await weeks.cloud.store.read(_shadows)
    told = (await weeks.cloud.store.read(_journal)) - heard
    (lost,) = await weeks.cloud.store.read(lambda r: r.one("SELECT sum(lost) FROM sync_journals")) or (0,)
    happened = await weeks.hub.store.read(last_place) - before
    assert happened >= 2 * reports
    assert told.total() - told["gap"] + lost == happened
    figure(
        f"two weeks offline, {reports} reports and {edits} edits on each side ({passed:.0f} s): at most "
        f"{weeks.most_octets / 1e6:.0f} MB of {bound(edits) / 1e6:.0f} MB in the hub's database and "
        f"{weeks.most_logged / 1e6:.0f} MB of {LOG / 1e6:.0f} MB in its log; {waiting['to_push']} operations waited; "
        f"{took:.1f} s from the first connection to level, {len(outcome.conflicts)} conflicts; {told.total()} "
        f"entries of the journal told, and that {lost} are missing"
    )


async def test_a_sample_of_two_weeks(
    together: Together, figure: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"journal": structs.replace(KEEP["journal"], keep_rows=4_000), "events": KEEP["events"]}
    monkeypatch.setitem(retention.KEEP, "journal", few["journal"])
    await two_weeks(together, 5_000, 50, figure)


@pytest.mark.full
async def test_two_weeks(together: Together, figure: Callable[[str], None]) -> None:
    await two_weeks(together, 1_000_000, 1_000, figure)
