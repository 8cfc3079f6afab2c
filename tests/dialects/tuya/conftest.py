"""Fixtures of this face's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.harness import Api


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """A hub with an empty database."""
    async with Api(tmp_path / "data") as hub:
        yield hub
