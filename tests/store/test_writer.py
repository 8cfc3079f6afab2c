"""One writer: each act whole or not at all, each caller answered once and truly, whatever its neighbours do."""

import asyncio
import sqlite3
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from app.errors import Conflict
from app.policy import SYSTEM, Action
from app.store import writer as writing
from app.store.errors import RunAgain, StoreClosed, StoreError, StoreFull, StoreSaturated
from app.store.resident import Resident
from app.store.store import Store
from app.store.tx import Change, Event, Reader, Tx

CHANGE = Change("thing.made", "thing", "t", None, Action.SELF)


def keep(row: str) -> Callable[[Tx], str]:
    def act(tx: Tx) -> str:
        tx.run("INSERT INTO secrets VALUES(?,x'00')", (row,))
        return row

    return act


def rows(reader: Reader) -> list[str]:
    return [row[0] for row in reader.all("SELECT row FROM secrets ORDER BY rowid")]


def fail(tx: Tx) -> None:
    keep("half-made")(tx)
    raise Conflict


def deferred_violation(tx: Tx) -> None:
    """Passes until the COMMIT, which then fails."""
    tx.run("PRAGMA defer_foreign_keys=ON")
    tx.run("INSERT INTO rooms(id,home_id,name,position) VALUES('r','nowhere','',1)")


async def together(store: Store, *acts: Callable[[Tx], object]) -> list[object]:
    """All of them in one batch."""
    return await asyncio.gather(*(store.write(act) for act in acts), return_exceptions=True)


async def test_an_act_that_fails_leaves_nothing_and_its_neighbours_alone(store: Store) -> None:
    before, error, broken, after = await together(store, keep("a"), fail, lambda tx: tx.run("nonsense"), keep("b"))
    assert (before, after) == ("a", "b")
    assert isinstance(error, Conflict)
    assert isinstance(broken, sqlite3.OperationalError)
    assert await store.read(rows) == ["a", "b"]


async def test_a_mistake_of_ours_is_not_called_a_disk_failure(store: Store) -> None:
    first, second = await together(store, keep("a"), keep("a"))
    assert first == "a"
    assert isinstance(second, sqlite3.IntegrityError)
    assert store.status().failing is None


async def test_a_commit_that_fails_keeps_nothing_and_gives_each_caller_its_own_error(store: Store) -> None:
    outcomes = await together(store, keep("a"), deferred_violation, fail, keep("b"))
    assert [type(outcome) for outcome in outcomes] == [StoreError, StoreError, Conflict, StoreError]
    assert len({id(outcome) for outcome in outcomes}) == 4
    assert await store.read(rows) == []
    assert isinstance(store.status().failing, StoreError)
    assert await store.write(keep("c")) == "c"
    assert store.status().failing is None


async def test_no_hook_runs_for_what_is_not_on_disk(store: Store) -> None:
    resident = Resident[str, str](lambda _: [])
    heard: list[Event] = []
    store.listen(heard.extend)

    def act(tx: Tx) -> None:
        resident.put(tx, "k", "v")
        tx.record(SYSTEM, CHANGE)

    await together(store, act, deferred_violation)
    assert (len(resident), heard) == (0, [])
    await store.write(act)
    assert (resident.get("k"), len(heard)) == ("v", 1)


async def test_memory_and_listeners_know_before_the_caller(store: Store) -> None:
    told: list[str] = []
    store.listen(lambda events: told.append("listener"))

    def act(tx: Tx) -> None:
        tx.after(lambda: told.append("memory"))
        tx.record(SYSTEM, CHANGE)

    await store.write(act)
    told.append("caller")
    assert told == ["memory", "listener", "caller"]


async def test_acts_run_and_events_arrive_in_the_order_of_asking(store: Store) -> None:
    heard: list[Event] = []
    store.listen(heard.extend)
    asked = [str(n) for n in range(3 * writing.MAX_BATCH)]
    await asyncio.gather(
        *(store.write(lambda tx, n=n: tx.record(SYSTEM, replace(CHANGE, id=n))) for n in asked)  # type: ignore[misc]
    )
    assert [event.id for event in heard] == asked
    assert [event.seq for event in heard] == list(range(heard[0].seq, heard[0].seq + len(asked)))
    kept = await store.read(lambda reader: reader.all("SELECT seq, entity_id FROM events ORDER BY seq"))
    assert kept[-len(asked) :] == [(event.seq, event.id) for event in heard]


async def test_hooks_and_listeners_that_raise_harm_nobody(store: Store) -> None:
    heard: list[Event] = []

    def break_down(_: object = None) -> None:
        raise RuntimeError

    store.listen(break_down)
    store.listen(heard.extend)

    def act(tx: Tx) -> str:
        tx.after(break_down)
        tx.record(SYSTEM, CHANGE)
        return keep("a")(tx)

    assert await store.write(act) == "a"
    assert len(heard) == 1
    assert await store.write(keep("b")) == "b"


async def test_an_act_cannot_go_on_outside_a_transaction_the_disk_has_ended(store: Store) -> None:
    def stubborn(tx: Tx) -> None:
        keep("a")(tx)
        # What SQLite does by itself at some I/O errors (sqlite.org/lang_transaction, "response to errors").
        tx.db.execute("ROLLBACK")
        keep("half-made")(tx)

    outcomes = await together(store, keep("neighbour"), stubborn)
    assert [type(outcome) for outcome in outcomes] == [StoreError, StoreError]
    assert await store.read(rows) == []
    assert await store.write(keep("after")) == "after"


async def test_a_full_disk_is_named_readers_go_on_and_it_recovers(store: Store) -> None:
    await store.write(keep("before"))

    def limit(pages: int) -> Callable[[Tx], object]:
        return lambda tx: tx.one(f"PRAGMA max_page_count={pages}")

    await store.write(limit(1))
    # Below what is used already SQLite keeps the present size: not a page more.
    outcomes = await together(
        store, keep("small"), lambda tx: tx.run("INSERT INTO secrets VALUES('big',zeroblob(99999))")
    )
    assert isinstance(outcomes[1], StoreFull)
    assert "big" not in await store.read(rows)
    assert "before" in await store.read(rows)
    await store.write(limit(1_000_000))
    assert await store.write(keep("after")) == "after"
    assert (outcomes[0] == "small") == ("small" in await store.read(rows))


async def test_a_caller_that_gave_up_in_the_queue_is_not_served(store: Store) -> None:
    waiting = [asyncio.create_task(store.write(keep(str(n)))) for n in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.wait(waiting)
    assert await store.read(rows) == ["0", "2"]


async def test_too_many_waiting_is_said_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MAX_WAITING", 5)
    outcomes = await together(store, *(keep(str(n)) for n in range(8)))
    assert [type(outcome) for outcome in outcomes[5:]] == [StoreSaturated] * 3
    assert outcomes[:5] == [str(n) for n in range(5)]


async def test_closing_finishes_what_was_accepted_and_refuses_the_rest(store: Store) -> None:
    accepted = [asyncio.create_task(store.write(keep(str(n)))) for n in range(2 * writing.MAX_BATCH)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(store._writer.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreClosed):
        await store.write(keep("late"))
    await closing
    assert await asyncio.gather(*accepted) == [str(n) for n in range(2 * writing.MAX_BATCH)]
    assert len(await store.read(rows)) == 2 * writing.MAX_BATCH


async def test_a_writer_torn_down_leaves_nobody_waiting(store: Store) -> None:
    waiting = [asyncio.create_task(store.write(keep(str(n)))) for n in range(5)]
    await asyncio.sleep(0)
    store._writer._task.cancel()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {StoreClosed, str}
    with pytest.raises(StoreClosed):
        await store.write(keep("late"))


async def test_a_read_sees_one_snapshot(store: Store) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask(reader: Reader) -> tuple[list[str], list[str]]:
        first = rows(reader)
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        return first, rows(reader)

    reading = asyncio.create_task(store.read(ask))
    await started.wait()
    await store.write(keep("a"))
    go_on.set()
    assert await reading == ([], [])
    assert await store.read(rows) == ["a"]


async def test_what_an_act_wants_done_first_is_an_act_before_it(store: Store) -> None:
    """By itself: its own events come first, and who did it is not who did the other."""
    heard: list[str] = []
    store.listen(lambda events: heard.extend(event.id for event in events))

    def first(tx: Tx) -> None:
        keep("first")(tx)
        tx.record(SYSTEM, replace(CHANGE, id="first"))

    def act(tx: Tx) -> str:
        keep("act")(tx)
        tx.record(SYSTEM, replace(CHANGE, id="act"))
        if tx.one("SELECT 1 FROM secrets WHERE row='first'") is None:
            raise RunAgain(first)
        return "done"

    before, done, after = await together(store, keep("before"), act, keep("after"))
    assert (before, done, after) == ("before", "done", "after")
    assert await store.read(rows) == ["before", "first", "act", "after"]
    assert heard == ["first", "act"]


async def test_an_act_whose_first_fails_fails_with_it(store: Store) -> None:
    def act(tx: Tx) -> None:
        keep("act")(tx)
        raise RunAgain(fail)

    error, after = await together(store, act, keep("after"))
    assert isinstance(error, Conflict)
    assert after == "after"
    assert await store.read(rows) == ["after"]
