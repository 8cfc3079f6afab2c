"""What every test stands on: lanes, and a loop that refuses to be blocked."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from app import logs


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="the full lane: the large counts, not only their seeded samples"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Log as a hub does, at its most talkative: what a log line trips over, a test trips over first."""
    logs.configure("debug", "json")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect (never skip) what belongs to the full lane."""
    if config.getoption("--full"):
        return
    full = [item for item in items if item.get_closest_marker("full")]
    if full:
        config.hook.pytest_deselected(items=full)
        items[:] = [item for item in items if not item.get_closest_marker("full")]


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """A blocking call made on the event loop raises in the test that made it."""
    with blockbuster_ctx() as active:
        yield active
