"""Fixtures of the tests of sync; figures they measured are printed at the end of the run."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from app.sync import engine
from tests.api.harness import Api
from tests.sync.household import Household, build
from tests.sync.pair import Ends, ends
from tests.sync.together import Together

_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def figure(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Have a line printed in the summary."""
    return pytestconfig.stash.setdefault(_FIGURES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_FIGURES, []):
        terminalreporter.write_line(line)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Household]:
    """A household, on its own hub."""
    async with Api(tmp_path / "hub") as hub:
        yield Household(hub, await build(hub))


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Api]:
    """Where nobody has heard of them."""
    async with Api(tmp_path / "cloud") as api:
        yield api


@pytest.fixture
async def ends_apart(tmp_path: Path) -> AsyncIterator[Ends]:
    """A cloud and a hub that do not know each other."""
    async with ends(tmp_path) as both:
        yield both


@pytest.fixture
async def together(ends_apart: Ends, monkeypatch: pytest.MonkeyPatch) -> Together:
    """Anna's hub and her cloud, level, with one home; a line that stands again is found at once."""
    monkeypatch.setattr(engine, "MOST_BACKOFF_S", 0.05)
    made = Together(ends_apart)
    await made.begin()
    return made
