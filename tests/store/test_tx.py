"""What an act leaves behind: audit row and event of each change; and memory that follows the disk."""

from collections.abc import Callable, Iterable

import pytest

from app.policy import SYSTEM, Action, Actor
from app.store.resident import Resident
from app.store.store import Store
from app.store.tx import ROWS_AT_ONCE, Change, Event, Reader, Row, Tx
from tests.store.conftest import START_MS
from tests.store.test_writer import together

ANNA = Actor("anna", "session-1")
CHANGE = Change(
    "device.renamed", "device", "d", "h", Action.DEVICE_READ, {"name": "Lamp"}, account_id="anna", device_id="d"
)


async def ask(store: Store, sql: str) -> list[Row]:
    return await store.read(lambda reader: reader.all(sql))


async def test_a_change_leaves_its_two_rows(store: Store) -> None:
    heard: list[Event] = []
    store.listen(heard.extend)
    await store.write(lambda tx: tx.record(ANNA, CHANGE))
    who = (START_MS, "anna", "session-1", "device.renamed", "device", "d", "h", b'{"name":"Lamp"}')
    columns = "at,account_id,credential_id,type,kind,entity_id,home_id,data"
    assert await ask(store, f"SELECT {columns} FROM audit") == [who]
    (event,) = heard
    row = (START_MS, "device.renamed", "device", "d", "h", "anna", "d", "device.read", b'{"name":"Lamp"}')
    assert await ask(store, "SELECT * FROM events") == [(event.seq, *row)]
    assert event == Event(event.seq, *row[:7], Action.DEVICE_READ, b'{"name":"Lamp"}')


async def test_what_is_not_asked_for_is_not_left(store: Store) -> None:
    await store.write(lambda tx: tx.record(SYSTEM, Change("a.b", "a", "1", "h", Action.SELF, audit=False)))
    counts = await ask(store, "SELECT (SELECT count(*) FROM audit), (SELECT count(*) FROM events)")
    assert counts == [(0, 1)]


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


PUT = "INSERT INTO secrets VALUES(?, x'01')"


def putting(row: str, *, then: Exception | None = None) -> Callable[[Tx], None]:
    def act(tx: Tx) -> None:
        tx.put(PUT, (row,))
        if then is not None:
            raise then

    return act


async def test_what_is_put_is_written_with_the_batch_and_without_the_acts_that_failed(store: Store) -> None:
    outcomes = await together(store, putting("a"), putting("b", then=ValueError()), putting("c"))
    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None)]
    assert await ask(store, "SELECT row FROM secrets") == [("a",), ("c",)]


@pytest.mark.parametrize("acts", [1, 3, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 2 * ROWS_AT_ONCE + 5])
async def test_however_many_rows_go_together_each_is_written_once_and_in_order(store: Store, acts: int) -> None:
    def leaving(n: int) -> Callable[[Tx], None]:
        def act(tx: Tx) -> None:
            tx.put(PUT, (f"{n:03}",))
            tx.record(SYSTEM, Change("thing.made", "thing", str(n), "h", Action.DEVICE_READ, {"n": n}))

        return act

    assert await together(store, *(leaving(n) for n in range(acts))) == [None] * acts
    assert await ask(store, "SELECT row FROM secrets ORDER BY row") == [(f"{n:03}",) for n in range(acts)]
    for table, place in (("audit", "seq"), ("events", "seq")):
        found = await ask(store, f"SELECT {place}, entity_id, data FROM {table} ORDER BY {place}")
        assert found == [(n + 1, str(n), f'{{"n":{n}}}'.encode()) for n in range(acts)]


async def test_who_asks_for_what_is_put_finds_it(store: Store) -> None:
    def asks(tx: Tx) -> list[Row]:
        tx.put(PUT, ("b",))
        tx.settle()
        return tx.all("SELECT row FROM secrets")

    assert (await together(store, putting("a"), asks, putting("c")))[1] == [("a",), ("b",)]
    assert await ask(store, "SELECT row FROM secrets") == [("a",), ("b",), ("c",)]


async def test_an_act_that_fails_after_settling_takes_nothing_of_others_with_it(store: Store) -> None:
    def fails(tx: Tx) -> None:
        tx.put(PUT, ("b",))
        tx.settle()
        raise ValueError

    outcomes = await together(store, putting("a"), fails, putting("c"))
    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None)]
    assert await ask(store, "SELECT row FROM secrets") == [("a",), ("c",)]


async def test_memory_answers_for_the_disk_until_something_is_written(store: Store) -> None:
    def writes(tx: Tx) -> bool:
        tx.run("INSERT INTO secrets VALUES('x', x'01')")
        return tx.is_as_in_memory

    def looks(tx: Tx) -> bool:
        return tx.is_as_in_memory

    assert await together(store, looks, putting("a"), looks, writes, looks) == [True, None, True, False, False]
    assert await together(store, looks) == [True]


async def test_memory_that_missed_a_commit_answers_no_more(store: Store) -> None:
    def raises() -> None:
        raise ValueError

    await store.write(lambda tx: tx.after(raises))
    assert await store.write(lambda tx: tx.is_as_in_memory) is False


async def test_numbers_go_on_where_the_table_is(store: Store) -> None:
    assert await together(store, *[lambda tx: tx.batch.number("events")] * 3) == [1, 2, 3]
    await store.write(lambda tx: tx.record(ANNA, CHANGE))
    assert await store.write(lambda tx: tx.batch.number("events")) == 2
