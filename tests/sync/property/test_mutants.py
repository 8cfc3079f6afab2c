"""The schedules find every fault that is put into the program: each rule that is taken away shows."""

import sqlite3

import pytest

from tests.sync.property.mutants import MUTANTS
from tests.sync.property.oracle import Wrong
from tests.sync.property.schedules import run

# Of each; the most that one has needed is told in `found`.
WITHIN = 60
WITHIN_RARE = 1_000

FEW = [name for name, it in MUTANTS.items() if not it.rare]
RARE = [pytest.param(name, marks=pytest.mark.full) for name, it in MUTANTS.items() if it.rare]


def found(name: str, within: int) -> int | None:
    """In the how manyth schedule it shows."""
    mutant = MUTANTS[name]
    with pytest.MonkeyPatch.context() as patch:
        mutant.patch(patch)
        for seed in range(within):
            try:
                run(seed, mutant.mood)
            except Wrong as error:
                if not isinstance(error.__cause__, Wrong | AssertionError | sqlite3.Error):
                    raise
                return seed + 1
    return None


def test_the_nine_of_the_notes_are_there() -> None:
    assert sum(it.first for it in MUTANTS.values()) == 9


@pytest.mark.parametrize("name", [*FEW, *RARE])
def test_the_schedules_find_it(name: str) -> None:
    assert found(name, WITHIN_RARE if MUTANTS[name].rare else WITHIN) is not None
