"""A table that strangers fill: bounded, and nobody crowds out the others."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pairing.fair import FairTable

MOST, PER_SOURCE = 8, 5
SOURCES = st.sampled_from(["flood", "a", "b", "c"])
PUTS = st.lists(st.tuples(SOURCES, st.integers(0, 30), st.booleans()), max_size=120)


@given(PUTS)
def test_it_is_bounded_and_who_has_few_rows_keeps_them(puts: list[tuple[str, int, bool]]) -> None:
    displaced: list[str] = []
    table = FairTable[str](MOST, PER_SOURCE, lambda key, value: displaced.append(value))
    kept: dict[str, str] = {}
    for source, number, takes_out in puts:
        key = f"{source}{number}"
        if takes_out:
            assert table.pop(key) == kept.pop(key, None)
            continue
        before = Counter(kept.values())
        put = table.put(key, source, source)
        if displaced:
            loser = displaced.pop()
            assert before[loser] == max(before.values()) > before[source] + 1
            kept = {k: s for k, s in kept.items() if k in table}
        if put:
            kept[key] = source
        assert set(table) == set(kept)
        assert len(table) <= MOST
        assert max(Counter(kept.values()).values(), default=0) <= PER_SOURCE


def test_the_oldest_of_the_biggest_source_gives_way() -> None:
    table = FairTable[int](4, 4)
    for number in range(4):
        assert table.put(f"flood{number}", "flood", number)
    assert not table.put("flood9", "flood", 9)
    assert table.put("late", "other", 9)
    assert list(table) == ["flood1", "flood2", "flood3", "late"]
    assert table.put("late2", "other", 9)
    assert table.put("late3", "third", 9)
    assert list(table) == ["flood3", "late", "late2", "late3"]
    assert not table.put("late4", "other", 9)


def test_a_row_stays_its_first_sources() -> None:
    table = FairTable[int](4, 1)
    assert table.put("lamp", "a", 1)
    assert table.put("lamp", "thief", 2)
    assert table.get("lamp") == 2
    assert not table.put("other", "a", 3)
    assert table.put("other", "thief", 3)
    assert table.pop("nothing") is None
    assert table.values() == [2, 3]
