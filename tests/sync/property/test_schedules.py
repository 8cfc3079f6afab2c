"""Whatever happens in between, hubs and their cloud become the same, and nothing that was acknowledged is lost."""

import pytest

from tests.sync.property.moods import MOODS
from tests.sync.property.schedules import run

SAMPLE = 240
ALL = 10_000
# A schedule that fails is run again by itself: run(seed, mood).


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("count", [SAMPLE, pytest.param(ALL, marks=pytest.mark.full)])
def test_everything_becomes_the_same(mood: str, count: int) -> None:
    for seed in range(count // len(MOODS)):
        run(seed, mood)


def test_a_seed_decides_everything() -> None:
    from tests.sync.property.schedules import Schedule

    logs = []
    for _ in range(2):
        schedule = Schedule(7, "all")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("app.sync.own.new_id", lambda _, world=schedule.world: world.new_id("conflict"))
            schedule.run()
        logs.append(schedule.world.log)
    assert logs[0] == logs[1]
    assert len(logs[0]) > 50
