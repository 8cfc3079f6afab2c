"""A hub, its cloud and a second hub as processes; what comes to the other side is looked for in its own database."""

import asyncio
import contextlib
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from app.client import ApiError, Client
from app.commands.child import HubProcess
from app.sync.enrolment.link import enrol_link
from tests.bench.__main__ import PATIENT
from tests.bench.counting import Wire
from tests.bench.folder import TOKEN
from tests.bench.homes import FOLDERS, Prepared
from tests.bench.measured import Measured, Taken

LOOK_S = 0.002
PATIENCE_S = 120.0
AT_ONCE = 16
PLAIN = ("--no-tls", "--no-mqtt", "--log-level", "warning")


class Disk:
    """What is durable in a node's database: a reader sees a commit once its log has been synchronised."""

    def __init__(self, folder: Path, home_id: str) -> None:
        self._uri = f"file:{folder / 'doorstep.db'}?mode=ro"
        self._home_id = home_id
        self._db: sqlite3.Connection | None = None

    def one(self, sql: str, *args: Any) -> Any:
        """The first column of the first row; None where there is none."""
        # Opened once: reading the schema anew for each look would take a core from who is measured. Each statement is
        # a transaction of its own, and sees what is committed by then.
        if self._db is None:
            self._db = sqlite3.connect(self._uri, uri=True, isolation_level=None)
        row = self._db.execute(sql, args).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """Look no more."""
        if self._db is not None:
            self._db.close()

    def synced(self) -> int | None:
        """How far the log is here; None while it is not whole."""
        return self.one("SELECT head FROM sync_homes WHERE home_id=? AND state='synced'", self._home_id)  # type: ignore[no-any-return]

    def facts(self) -> int:
        """Facts in the log."""
        return int(self.one("SELECT count(*) FROM sync_entities WHERE home_id=?", self._home_id))

    def named(self, like: str) -> int:
        """Devices of such a name in the tables."""
        return int(self.one("SELECT count(*) FROM devices WHERE home_id=? AND name LIKE ?", self._home_id, like))

    def told(self, kind: str) -> int:
        """Events of a type."""
        return int(self.one("SELECT count(*) FROM events WHERE home_id=? AND type=?", self._home_id, kind))


async def until(met: Callable[[], bool]) -> float:
    """When it was."""
    async with asyncio.timeout(PATIENCE_S):
        while not met():
            await asyncio.sleep(LOOK_S)
    return time.perf_counter()


class Round:
    """One round in fresh folders."""

    def __init__(self, prepared: Prepared, folder: Path, edits: int) -> None:
        self._made = prepared
        self._folder = folder
        self._edits = edits
        self._disks: dict[str, Disk] = {}
        self.cloud: HubProcess
        self.at_cloud: Client
        self.taken: dict[str, Taken] = {}
        # What the hub took to make a log of its tables, in seconds.
        self.stated = 0.0

    async def run(self, *, tls: bool, changes: int) -> Measured:
        """All of it."""
        async with AsyncExitStack() as opened:
            for name in FOLDERS:
                await asyncio.to_thread(shutil.copytree, self._made.folder / name, self._folder / name)
                self._disks[name] = disk = Disk(self._folder / name, self._made.home_id)
                opened.callback(disk.close)
            arguments = PLAIN[1:] if tls else PLAIN
            self.cloud = await opened.enter_async_context(
                HubProcess(self._folder / "cloud", "--role", "cloud", *arguments, environ=PATIENT)
            )
            self.at_cloud = await opened.enter_async_context(self.cloud.client(TOKEN))
            async with self._hub("hub") as (at_hub, wire):
                await self._all_out(at_hub, wire)
                async with self._hub("second") as (_, other):
                    await self._all_in("second", other)
                await self._edited(at_hub, wire)
                to_cloud = await self._changes(at_hub, self.at_cloud, changes)
                to_hub = await self._changes(self.at_cloud, at_hub, changes)
        return Measured(self.taken, to_cloud, to_hub, self.stated)

    @asynccontextmanager
    async def _hub(self, name: str) -> AsyncIterator[tuple[Client, Wire]]:
        """Enrolled with the cloud, over a wire of its own."""
        port = int(self.cloud.ready["port"])
        async with (
            Wire(port).laid() as wire,
            HubProcess(self._folder / name, *PLAIN, environ=PATIENT) as hub,
            hub.client(TOKEN) as at_hub,
        ):
            made = await self.at_cloud.post("/api/hubs/enrolments")
            pin = self.cloud.ready["pin"] or None
            url = f"http{'s' if pin else ''}://127.0.0.1:{wire.port}"
            await at_hub.post("/api/cloud", {"code": enrol_link(url, pin, made["code"])})
            await self.at_cloud.post(f"/api/hubs/enrolments/{made['id']}/confirm")
            async with asyncio.timeout(PATIENCE_S):
                while not (await at_hub.get("/api/cloud"))["connected"]:
                    await asyncio.sleep(0.05)
            yield at_hub, wire

    async def _until_all(self, name: str) -> tuple[float, float]:
        """When a node's log had all, and when its tables did."""
        disk = self._disks[name]
        logged = await until(lambda: disk.synced() is not None and disk.facts() >= self._made.documents)
        shown = await until(lambda: disk.named("Lamp %") == len(self._made.device_ids))
        return logged, shown

    def _took(self, what: str, documents: int, began: float, ended: tuple[float, float], octets: int) -> None:
        self.taken[what] = Taken(documents, ended[0] - began, octets, ended[1] - began)

    async def _all_out(self, at_hub: Client, wire: Wire) -> None:
        path = f"/api/homes/{self._made.home_id}/sync"
        asked = time.perf_counter()
        await self._give(at_hub, path)
        before = wire.octets
        began = await until(lambda: self._disks["hub"].facts() > 0)
        self.stated = began - asked
        ended = await self._until_all("cloud")
        self._took("all_out", self._made.documents, began, ended, wire.octets - before)
        await self._until_all("hub")
        self._demand(self._disks["cloud"].told("device.added"), len(self._made.device_ids))

    async def _give(self, at_hub: Client, path: str) -> None:
        """Its connection stands, but may not have greeted yet."""
        while True:
            try:
                await at_hub.post(path)
                return
            except ApiError as error:
                if error.code != "cloud_away":
                    raise
                await asyncio.sleep(LOOK_S)

    async def _all_in(self, name: str, wire: Wire) -> None:
        hub_id = (await self._cloud_hubs())[-1]
        before, began = wire.octets, time.perf_counter()
        await self.at_cloud.post(f"/api/homes/{self._made.home_id}/hubs", {"hub_id": hub_id})
        ended = await self._until_all(name)
        self._took("all_in", self._made.documents, began, ended, wire.octets - before)
        self._demand(self._disks[name].told("device.added"), len(self._made.device_ids))

    async def _cloud_hubs(self) -> list[str]:
        hubs = (await self.at_cloud.get("/api/hubs"))["items"]
        return [hub["id"] for hub in sorted(hubs, key=lambda hub: str(hub["enrolled_at"]))]

    # edits

    async def _edited(self, at_hub: Client, wire: Wire) -> None:
        ids, edits = self._made.device_ids, self._edits
        await self._apart("edits_out", wire, {"Out": (at_hub, ids[:edits])})
        await self._apart("edits_in", wire, {"In": (self.at_cloud, ids[edits : 2 * edits])})
        both = {"Both out": (at_hub, ids[:edits]), "Both in": (self.at_cloud, ids[edits : 2 * edits])}
        await self._apart("edits_both", wire, both)

    async def _apart(self, what: str, wire: Wire, edits: dict[str, tuple[Client, list[str]]]) -> None:
        """Edit while nothing gets through; timed from when the hub reaches the cloud again, its session and all."""
        hub, cloud = self._disks["hub"], self._disks["cloud"]
        count = sum(len(ids) for _, ids in edits.values())
        wire.cut()
        apart = hub.synced()
        told = {name: disk.told("device.updated") for name, disk in self._disks.items()}
        for name, (client, ids) in edits.items():
            await _rename(client, ids, name)
        before = wire.octets
        wire.join()
        await until(lambda: wire.met_at is not None)
        wanted = {name: len(ids) for name, (_, ids) in edits.items()}

        def is_level() -> bool:
            head = hub.synced()
            return head == cloud.synced() != apart and not hub.one("SELECT count(*) FROM sync_outbox")

        def is_shown() -> bool:
            return all(disk.named(f"{name} %") == many for name, many in wanted.items() for disk in (hub, cloud))

        ended = await until(is_level), await until(is_shown)
        assert wire.met_at is not None
        self._took(what, count, wire.met_at, ended, wire.octets - before)
        for name in ("hub", "cloud"):
            self._demand(self._disks[name].told("device.updated") - told[name], count)

    def _demand(self, found: int, wanted: int) -> None:
        if found != wanted:
            raise SystemExit(f"{found} events were told of {wanted}")

    async def _changes(self, here: Client, there: Client, count: int) -> list[float]:
        """ms from asking for a change to the other side's event of it, one after another."""
        spent: list[float] = []
        async with there.events() as events:
            for number in range(count):
                name, began = f"Change {number} {id(spent)}", time.perf_counter()
                await here.patch(f"/api/devices/{self._made.device_ids[number]}", {"name": name})
                async for event in events:
                    if event.event == "device.updated" and name in event.data:
                        break
                spent.append((time.perf_counter() - began) * 1000)
        return spent


async def _rename(client: Client, ids: list[str], name: str) -> None:
    left = iter(ids)

    async def some() -> None:
        for device_id in left:
            await client.patch(f"/api/devices/{device_id}", {"name": f"{name} {device_id}"})

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(some())


async def measure(prepared: Prepared, folder: Path, edits: int, *, tls: bool, changes: int) -> Measured:
    """One round."""
    with contextlib.ExitStack() as undone:
        undone.callback(shutil.rmtree, folder, ignore_errors=True)
        return await Round(prepared, folder, edits).run(tls=tls, changes=changes)
