"""A history bounded by size: the oldest go first, in small steps, and what one writes pushes nobody else out."""

from collections.abc import Callable
from random import Random

import pytest

from app.store import sizes
from app.store.housekeeping import _ENTRY
from app.store.retention import KEEP, Keep
from app.store.sizes import AGAIN, SizedHistory
from app.store.store import Store
from app.store.tx import Reader, Tx

BATCH = 10


def history() -> SizedHistory:
    return SizedHistory("journal", order="seq", per="device_id", octets=_ENTRY, batch=BATCH)


def bound(monkeypatch: pytest.MonkeyPatch, **bounds: int) -> None:
    kept = {"keep_days": 30, "keep_rows": 100_000, "keep_octets": 1 << 40, "keep_each": 100_000, **bounds}
    monkeypatch.setitem(KEEP, "journal", Keep("little", per="device_id", **kept))


def note(device: str, *lengths: int) -> Callable[[Tx], None]:
    """Entries of a device, with values so long."""

    def act(tx: Tx) -> None:
        sql = "INSERT INTO journal(device_id,home_id,at,type,value,source) VALUES(?,'h',?,'message',?,'device')"
        for length in lengths:
            tx.run(sql, (device, tx.now, "x" * length))

    return act


async def swept(store: Store, sized: SizedHistory) -> list[int]:
    """How much each step removed, until there is nothing more to do."""
    steps = []
    while (count := await store.write(sized.sweep)) != 0:
        if count != AGAIN:
            steps.append(count)
    return steps


async def left(store: Store) -> dict[str, int]:
    rows = await store.read(lambda reader: reader.all("SELECT device_id, count(*) FROM journal GROUP BY 1"))
    return dict(rows)


def octets(reader: Reader) -> int:
    row = reader.one(f"SELECT coalesce(sum({_ENTRY}), 0) FROM journal")
    return 0 if row is None else int(row[0])


async def test_who_writes_much_loses_its_own_oldest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bound(monkeypatch, keep_each=30)
    sized = history()
    await store.write(note("quiet", *[1] * 5))
    await store.write(note("loud", *[1] * 75))
    await store.write(note("quiet", *[1] * 5))
    assert await swept(store, sized) == [10, 10, 10, 10, 5]
    assert await left(store) == {"quiet": 10, "loud": 30}
    kept = await store.read(lambda r: r.all("SELECT seq FROM journal WHERE device_id='loud' ORDER BY seq"))
    assert [seq for (seq,) in kept] == list(range(51, 81))
    # Nobody has written since: nobody is looked at.
    assert await swept(store, sized) == []
    await store.write(note("loud", 1))
    assert await swept(store, sized) == [1]


async def test_the_oldest_of_all_go_where_there_is_too_much_to_keep(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sized = history()
    await store.write(note("a", *[100] * 20))
    await store.write(note("b", *[1000] * 20))
    whole = await store.read(octets)
    bound(monkeypatch, keep_octets=whole)
    assert await swept(store, sized) == []
    assert sized.octets == whole
    bound(monkeypatch, keep_octets=whole - 1)
    assert await swept(store, sized) == [1]
    bound(monkeypatch, keep_octets=10_000)
    assert sum(await swept(store, sized)) == 31
    assert await left(store) == {"b": 8}
    assert sized.octets == await store.read(octets) <= 10_000


async def test_what_was_there_before_is_counted_in_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bound(monkeypatch, keep_each=8)
    monkeypatch.setattr(sizes, "COUNTED_AT_ONCE", 7)
    for n in range(30):
        await store.write(note("old" if n % 3 else "rare", n))
    sized = history()
    steps = []
    while (count := await store.write(sized.sweep)) == AGAIN:
        steps.append(sized.octets)
        await store.write(note("new", 3))
    # It begins, and counts seven at a time: five times, with what comes meanwhile.
    assert len(steps) == 6
    assert steps == sorted(steps)
    # Nothing is removed before all is known.
    assert count == 10
    assert await swept(store, sized) == [2, 2]
    assert await left(store) == {"old": 8, "rare": 8, "new": 6}
    assert sized.octets == await store.read(octets)


async def test_a_step_that_is_undone_changes_nothing_of_what_is_known(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound(monkeypatch, keep_each=5)
    sized = history()
    await store.write(note("a", *[1] * 9))

    def undone(tx: Tx) -> None:
        assert sized.sweep(tx) == 4
        raise LookupError

    for _ in range(2):  # it begins, and counts
        assert await store.write(sized.sweep) == AGAIN
    for _ in range(2):
        with pytest.raises(LookupError):
            await store.write(undone)
    assert await left(store) == {"a": 9}
    assert await swept(store, sized) == [4]
    assert sized.octets == await store.read(octets)


@pytest.mark.parametrize("seed", range(5))
async def test_what_is_counted_is_what_is_there(store: Store, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    random = Random(seed)
    monkeypatch.setattr(sizes, "COUNTED_AT_ONCE", 25)
    for n in range(60):
        await store.write(note(f"d{n % 7}", random.randrange(300)))
    bound(monkeypatch, keep_each=25, keep_rows=100, keep_octets=25_000)
    sized = history()
    for _ in range(40):
        for _ in range(random.randrange(3)):
            lengths = [random.randrange(300) for _ in range(random.randrange(15))]
            await store.write(note(f"d{random.randrange(7)}", *lengths))
        await swept(store, sized)
    assert sized.octets == await store.read(octets) <= 25_000
    assert max((await left(store)).values()) <= 25


async def test_housekeeping_holds_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bound(monkeypatch, keep_each=5)
    await store.write(note("a", *[1] * 1_200))
    removed = await store.housekeeping.run()
    assert removed["journal"] == 1_195
    assert await left(store) == {"a": 5}
