"""Fixtures of the API tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.api.harness import Api


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """A hub with an empty database."""
    async with Api(tmp_path / "data") as hub:
        yield hub


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Api]:
    """A hub where people have their accounts, beside `cloud`."""
    async with Api(tmp_path / "hub") as node:
        yield node


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Api]:
    """Where they are known by their keys."""
    async with Api(tmp_path / "cloud") as node:
        yield node


@pytest.fixture
async def anna_at_hub(hub: Api) -> httpx2.AsyncClient:
    """Anna, who has an account at the hub."""
    return await hub.person("anna")


@pytest.fixture
def anna() -> Ed25519PrivateKey:
    """The key of Anna's account at a hub of which nothing else is the matter."""
    return Ed25519PrivateKey.generate()
