"""What the tables do not show yet, a run of ids a row: it is the set that was put, less what was dropped."""

import json
from random import Random

import pytest

from app.store.tx import Tx
from app.sync import behind_queries
from app.sync.log import Key
from tests.sync.nodes import Node

RUN = 4
HOME, OTHER = "h1", "h2"
KEYS = [(kind, f"{n:03}") for kind in ("device", "names") for n in range(40)]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behind_queries, "RUN", RUN)


def rows(node: Node) -> list[tuple[str, str, str, int, list[str]]]:
    sql = "SELECT kind, first, last, many, ids FROM sync_behind WHERE home_id=?"
    return [(*row[:4], json.loads(row[4])) for row in node.reader.all(sql, (HOME,))]


@pytest.mark.parametrize("seed", range(20))
def test_it_is_a_set(seed: int) -> None:
    rng, node = Random(seed), Node("n", "n")
    there = set[Key]()
    for _ in range(60):
        some = rng.sample(KEYS, rng.choice((1, 2, 3, 20)))
        if rng.random() < 0.6:
            node.act(lambda tx, some=some: behind_queries.put(tx, HOME, some))  # type: ignore[misc]
            there.update(some)
        else:
            node.act(lambda tx, some=some: behind_queries.drop(tx, HOME, some))  # type: ignore[misc]
            there.difference_update(some)
        asked = rng.sample(KEYS, rng.choice((1, 5, 80)))
        assert behind_queries.among(node.reader, HOME, asked) == there.intersection(asked)
        assert behind_queries.count(node.reader, HOME) == len(there)
        assert behind_queries.homes(node.reader) == [HOME] * bool(there)
        found = rows(node)
        assert sorted((kind, it) for kind, *_, ids in found for it in ids) == sorted(there)
        for _, first, last, many, ids in found:
            assert (first, last, many) == (min(ids), max(ids), len(ids))
            assert many <= RUN
    assert behind_queries.among(node.reader, OTHER, KEYS) == set()


def test_what_is_shown_comes_out_whole_and_devices_first() -> None:
    node, shown = Node("n", "n"), list[Key]()

    def show(tx: Tx) -> bool:
        some = behind_queries.some(tx, HOME, 3)
        shown.extend(some)
        assert len(some) <= 3
        behind_queries.drop(tx, HOME, some)
        return bool(some)

    node.act(lambda tx: behind_queries.put(tx, HOME, reversed(KEYS)))
    while node.act(show):
        pass
    assert shown == KEYS
    assert behind_queries.some(node.reader, HOME, 3) == []
