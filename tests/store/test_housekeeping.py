"""Every table has a bound, and the store's sweeps hold theirs, in small steps."""

import asyncio
from collections.abc import Callable

import pytest

from app.errors import TooMany
from app.policy import SYSTEM, Action
from app.store import housekeeping, retention
from app.store.hub import keep_time_floor
from app.store.once import Once
from app.store.retention import DAY_MS, KEEP, Keep, demand_room
from app.store.store import Store
from app.store.tx import Change, Reader, Tx
from tests.store.conftest import A_SESSION, START_MS, HandClock

CHANGE = Change("thing.made", "thing", "t", "h", Action.SELF)


def count(table: str) -> Callable[[Reader], int]:
    return lambda reader: int((reader.one(f"SELECT count(*) FROM {table}") or (0,))[0])


def spread(tx: Tx, days_ago: int) -> int:
    """A row in each history, `days_ago` old."""
    at = tx.now - days_ago * DAY_MS
    tx.run("INSERT INTO events(at,type,kind,entity_id,sees,data) VALUES(?,'t','k','e','self','')", (at,))
    tx.run("INSERT INTO audit(at,type,kind,entity_id,data) VALUES(?,'t','k','e','')", (at,))
    tx.run("INSERT INTO journal(at,device_id,home_id,type,source) VALUES(?,'d','h','t','s')", (at,))
    tx.run("INSERT INTO idempotency VALUES('s',?,x'',x'',?)", (str(days_ago), at))
    return 0


async def test_no_table_is_without_a_bound(store: Store) -> None:
    tables = await store.read(
        lambda reader: reader.all("SELECT name FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite_%'")
    )
    assert sorted(KEEP) == sorted(row[0] for row in tables)


async def test_what_a_bound_is_per_is_a_column(store: Store) -> None:
    for table, keep in KEEP.items():
        await store.read(lambda reader, t=table, k=keep: reader.all(f"SELECT {k.per or '*'} FROM {t} LIMIT 0"))  # type: ignore[misc]


async def test_what_is_old_goes_and_the_rest_stays(store: Store) -> None:
    for days in (400, 100, 40, 8, 6, 0):
        await store.write(lambda tx, d=days: spread(tx, d))  # type: ignore[misc]
    removed = await store.housekeeping.run()
    assert {name: count for name, count in removed.items() if count} == {
        "events": 4,
        "audit": 1,
        "journal": 3,
        "idempotency": 5,
    }
    left = [await store.read(count(table)) for table in ("events", "audit", "journal", "idempotency")]
    assert left == [2, 5, 3, 1]


async def test_what_is_too_much_goes_oldest_first_in_batches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = {name: Keep("", keep_days=keep.keep_days, keep_rows=10) for name, keep in KEEP.items()}
    monkeypatch.setattr(housekeeping, "KEEP", bounds)

    def flood(tx: Tx) -> None:
        for n in range(3 * housekeeping.BATCH):
            tx.record(SYSTEM, CHANGE)
            tx.run("INSERT INTO idempotency VALUES('s',?,x'',x'',?)", (str(n), tx.now))

    await store.write(flood)
    await store.housekeeping.run()
    for table, order in (("events", "seq"), ("audit", "seq"), ("idempotency", "rowid")):
        left = await store.read(lambda reader, t=table, o=order: reader.all(f"SELECT {o} FROM {t}"))  # type: ignore[misc]
        assert [row[0] for row in left] == list(range(3 * housekeeping.BATCH - 9, 3 * housekeeping.BATCH + 1))


def a_device(tx: Tx) -> None:
    tx.run("INSERT INTO homes(id,name,time_zone,created_at) VALUES('h','','UTC',1)")
    tx.run(
        "INSERT INTO devices(id,home_id,product_id,hardware_id,link,trust,name,bound_at) "
        "VALUES('d','h','p','w','l','t','',1)"
    )


def command(tx: Tx, ended_days_ago: int | None) -> int:
    ended = None if ended_days_ago is None else tx.now - ended_days_ago * DAY_MS
    sql = (
        "INSERT INTO commands(id,device_id,home_id,kind,body,state,created_at,expires_at,ended_at) "
        "VALUES(?,'d','h','k','','s',1,1,?)"
    )
    return tx.run(sql, (tx.new_id(), ended))


async def test_open_commands_are_never_swept(store: Store) -> None:
    await store.write(a_device)
    for ended in (None, 31, 29, None, 400):
        await store.write(lambda tx, e=ended: command(tx, e))  # type: ignore[misc]
    assert (await store.housekeeping.run())["commands"] == 2
    left = await store.read(lambda reader: reader.all("SELECT n FROM commands ORDER BY n"))
    assert [row[0] for row in left] == [1, 3, 4]


async def test_spent_refresh_tokens_outlive_every_refresh_token(store: Store, clock: HandClock) -> None:
    def spend(tx: Tx) -> None:
        tx.run("INSERT INTO accounts(id,name,public_key,created_at) VALUES('a','',x'00',1)")
        tx.run(A_SESSION)
        tx.run("INSERT INTO spent_refresh(hash,session_id,at) VALUES(x'03','s',?)", (tx.now,))

    await store.write(spend)
    clock.ms += 60 * DAY_MS
    assert (await store.housekeeping.run())["spent_refresh"] == 0
    clock.ms += 1
    assert (await store.housekeeping.run())["spent_refresh"] == 1


async def test_services_register_what_only_they_know_to_be_over(store: Store) -> None:
    rounds = iter((housekeeping.BATCH, housekeeping.BATCH, 1, 0))
    store.housekeeping.register("screens", lambda tx: next(rounds))
    assert (await store.housekeeping.run())["screens"] == 2 * housekeeping.BATCH + 1
    with pytest.raises(ValueError, match="two sweeps"):
        store.housekeeping.register("screens", lambda tx: 0)


async def test_it_runs_by_itself_and_outlives_a_sweep_that_raises(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def sweep(tx: Tx) -> int:
        loop.call_soon_threadsafe(ran.put_nowait, 1)
        raise RuntimeError

    monkeypatch.setattr(housekeeping, "EVERY_S", 0.001)
    impatient = housekeeping.Housekeeping(store.write, store.clock)
    impatient.register("broken", sweep)
    for _ in range(3):
        async with asyncio.timeout(30):
            await ran.get()
    await impatient.close()


async def test_the_time_is_kept(store: Store, clock: HandClock) -> None:
    clock.ms += 1000
    await store.housekeeping.run()

    def floor(reader: Reader) -> object:
        return reader.one("SELECT time_floor FROM hub")

    kept = await store.read(floor)
    clock.ms -= 500
    await store.write(keep_time_floor)
    assert await store.read(floor) == kept
    assert isinstance(kept, tuple)
    assert kept[0] >= START_MS + 1000


async def test_room_is_demanded_per_owner(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "KEEP", {"rooms": Keep("", most=2, per="home_id"), "homes": Keep("", most=2)})

    def room(tx: Tx, home: str) -> None:
        demand_room(tx, "rooms", home)
        tx.run("INSERT INTO rooms(id,home_id,name,position) VALUES(?,?,'',1)", (tx.new_id(), home))

    def home(tx: Tx, home: str) -> None:
        demand_room(tx, "homes")
        tx.run("INSERT INTO homes(id,name,time_zone,created_at) VALUES(?,'','UTC',1)", (home,))

    for name in ("h", "i"):
        await store.write(lambda tx, n=name: home(tx, n))  # type: ignore[misc]
    with pytest.raises(TooMany):
        await store.write(lambda tx: home(tx, "j"))
    for name in ("h", "h", "i"):
        await store.write(lambda tx, n=name: room(tx, n))  # type: ignore[misc]
    with pytest.raises(TooMany, match="at most 2 rooms"):
        await store.write(lambda tx: room(tx, "h"))


async def test_a_repeat_after_the_sweep_is_a_new_request(store: Store, clock: HandClock) -> None:
    once = Once("s", "k", b"f")
    assert await store.write(lambda tx: "first", once=once, returns=str) == "first"
    clock.ms += 2 * DAY_MS
    await store.housekeeping.run()
    assert await store.write(lambda tx: "second", once=once, returns=str) == "second"
