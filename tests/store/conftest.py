"""A real store in a folder of its own, ended after the test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.clock import Moment
from app.store.prepare import open_store
from app.store.store import Store

START_MS = 1_800_000_000_000


class HandClock:
    """A clock that stands until a test moves it."""

    def __init__(self, ms: int = START_MS, *, trusted: bool = True) -> None:
        self.ms = ms
        self.trusted = trusted

    def now(self) -> Moment:
        return Moment(self.ms, self.trusted)

    def set(self, ms: int) -> None:
        self.ms, self.trusted = ms, True


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def store(folder: Path, clock: HandClock) -> AsyncIterator[Store]:
    opened = await open_store(folder, clock)
    yield opened
    await opened.close()
