"""Every test here needs namespaces; figures that were measured are printed at the end of the run."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.lan.lan import Lan, require_namespaces


@pytest.fixture(scope="session", autouse=True)
def namespaces() -> None:
    """Skipped on a laptop that has none, failed in CI."""
    require_namespaces()


@pytest_asyncio.fixture
async def lan(namespaces: None) -> AsyncIterator[Lan]:
    """An empty home network."""
    async with Lan() as lan:
        yield lan
