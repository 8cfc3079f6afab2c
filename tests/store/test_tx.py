"""What an act leaves behind: audit, outbox and event of each change; and memory that follows the disk."""

from collections.abc import Iterable

import pytest

from app.policy import SYSTEM, Action, Actor
from app.store.resident import Resident
from app.store.store import Store
from app.store.tx import Change, Event, Reader, Row, Tx
from tests.store.conftest import START_MS

ANNA = Actor("anna", "session-1")
CHANGE = Change(
    "device.renamed", "device", "d", "h", Action.DEVICE_READ, {"name": "Lamp"}, account_id="anna", device_id="d"
)


async def ask(store: Store, sql: str) -> list[Row]:
    return await store.read(lambda reader: reader.all(sql))


async def test_a_change_leaves_its_three_rows(store: Store) -> None:
    heard: list[Event] = []
    store.listen(heard.extend)
    await store.write(lambda tx: tx.record(ANNA, CHANGE))
    who = (START_MS, "anna", "session-1", "device.renamed", "device", "d", "h", b'{"name":"Lamp"}')
    columns = "at,account_id,credential_id,type,kind,entity_id,home_id,data"
    assert await ask(store, f"SELECT {columns} FROM audit") == [who]
    assert await ask(store, f"SELECT {columns} FROM outbox") == [who]
    (event,) = heard
    row = (START_MS, "device.renamed", "device", "d", "h", "anna", "d", "device.read", b'{"name":"Lamp"}')
    assert await ask(store, "SELECT * FROM events") == [(event.seq, *row)]
    assert event == Event(event.seq, *row[:7], Action.DEVICE_READ, b'{"name":"Lamp"}')


@pytest.mark.parametrize(
    ("change", "audited", "sent"),
    [
        (Change("a.b", "a", "1", "h", Action.SELF), 1, 1),
        (Change("a.b", "a", "1", "h", Action.SELF, audit=False), 0, 1),
        (Change("a.b", "a", "1", "h", Action.SELF, sync=False), 1, 0),
        # Sync is per home: what belongs to no home has no place in it.
        (Change("a.b", "a", "1", None, Action.SELF), 1, 0),
    ],
)
async def test_what_is_not_asked_for_is_not_left(store: Store, change: Change, audited: int, sent: int) -> None:
    await store.write(lambda tx: tx.record(SYSTEM, change))
    counts = await ask(
        store, "SELECT (SELECT count(*) FROM audit), (SELECT count(*) FROM outbox), (SELECT count(*) FROM events)"
    )
    assert counts == [(audited, sent, 1)]


def names(reader: Reader) -> Iterable[tuple[str, bytes]]:
    return reader.all("SELECT row, sealed FROM secrets")


async def test_a_resident_table_is_loaded_and_then_follows(store: Store) -> None:
    await store.write(lambda tx: tx.run("INSERT INTO secrets VALUES('old', x'01')"))
    resident = Resident[str, bytes](names)
    told: list[tuple[str, bytes | None, bytes | None]] = []
    resident.watch(lambda key, old, new: told.append((key, old, new)))
    store.keep_resident(resident)
    await store.load()
    assert (resident.get("old"), len(resident), "old" in resident) == (b"\x01", 1, True)

    def act(tx: Tx) -> int:
        resident.put(tx, "new", b"2")
        resident.drop(tx, "old")
        # Not before the commit: what is in memory is on disk.
        return len(resident)

    assert await store.write(act) == 1
    assert list(resident.values()) == [b"2"]
    assert told == [("old", None, b"\x01"), ("new", None, b"2"), ("old", b"\x01", None)]


async def test_ids_sort_by_the_time_they_were_made(store: Store) -> None:
    first = await store.write(lambda tx: tx.new_id())
    second = await store.write(lambda tx: tx.new_id())
    assert first[:13] == second[:13]
    assert first != second
    assert first[14] == "7"
