"""Every test here needs namespaces, and most of them a house that has a hub already. Figures are printed at the end."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.lan.house import House, living
from tests.lan.lan import Lan, require_namespaces

_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def figure(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Have a line printed in the summary."""
    return pytestconfig.stash.setdefault(_FIGURES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_FIGURES, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def namespaces() -> None:
    """Skipped on a laptop that has none, failed in CI."""
    require_namespaces()


@pytest_asyncio.fixture
async def lan(namespaces: None) -> AsyncIterator[Lan]:
    """An empty home network."""
    async with Lan() as lan:
        yield lan


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One hub for all tests that only bring devices; each takes away again what it brought."""
    async with Lan() as lan, living(lan, tmp_path_factory.mktemp("house") / "hub") as house:
        yield house
