"""A real store in a folder of its own, ended after the test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.clock import Moment
from app.store.prepare import open_store
from app.store.store import Store

START_MS = 1_800_000_000_000
# A session `s` of the account `a`, which must be there.
A_SESSION = (
    "INSERT INTO sessions(id,account_id,name,access_hash,access_until,refresh_hash,refresh_until,address,created_at,"
    "used_at) VALUES('s','a','phone',x'01',1,x'02',1,'127.0.0.1',1,1)"
)


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
