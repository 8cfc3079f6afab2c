"""Secrets at rest: opened by the right key in the right row only, and nowhere on disk in clear."""

import base64
import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.store.errors import VaultKeyWrong, VaultMismatch
from app.store.once import Once
from app.store.prepare import open_store
from app.store.store import Store
from app.store.vault import KEY_BYTES, Vault

VAULT = Vault.of(b"k" * KEY_BYTES)


@given(st.binary(max_size=200), st.text(max_size=40))
def test_what_was_sealed_is_unsealed(secret: bytes, row: str) -> None:
    assert VAULT.unseal(VAULT.seal(secret, row), row) == secret


@given(st.binary(max_size=60), st.integers(min_value=0), st.integers(0, 7))
def test_a_changed_bit_does_not_open(secret: bytes, place: int, bit: int) -> None:
    sealed = bytearray(VAULT.seal(secret, "row"))
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises(VaultMismatch):
        VAULT.unseal(bytes(sealed), "row")


@given(st.binary(max_size=60), st.integers(min_value=0))
def test_a_cut_secret_does_not_open(secret: bytes, length: int) -> None:
    sealed = VAULT.seal(secret, "row")
    with pytest.raises(VaultMismatch):
        VAULT.unseal(sealed[: length % len(sealed)], "row")


def test_another_row_or_key_does_not_open() -> None:
    sealed = VAULT.seal(b"secret", "devices/1/key")
    with pytest.raises(VaultMismatch):
        VAULT.unseal(sealed, "devices/2/key")
    with pytest.raises(VaultMismatch):
        Vault.of(b"K" * KEY_BYTES).unseal(sealed, "devices/1/key")


def test_a_key_of_the_wrong_length_is_no_key() -> None:
    with pytest.raises(VaultKeyWrong):
        Vault.of(b"short")


async def test_kept_fetched_and_forgotten_by_prefix(store: Store) -> None:
    for row in ("devices/1/key", "devices/1/pin", "devices/10/key"):
        await store.write(lambda tx, row=row: store.vault.keep(tx, row, row.encode()))  # type: ignore[misc]
    await store.write(lambda tx: store.vault.forget(tx, "devices/1/"))
    assert await store.read(lambda reader: store.vault.fetch(reader, "devices/1/key")) is None
    assert await store.read(lambda reader: store.vault.fetch(reader, "devices/10/key")) == b"devices/10/key"


def test_no_secret_stands_in_the_files_in_clear(tmp_path: Path) -> None:
    import asyncio

    canary = secrets.token_bytes(24)
    shapes = (canary, canary.hex().encode(), base64.b64encode(canary), base64.urlsafe_b64encode(canary))
    found: list[str] = []

    def search(when: str) -> None:
        files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
        assert files
        found.extend(f"{when}: {path.name}" for path in files for shape in shapes if shape in path.read_bytes())

    async def use() -> None:
        opened = await open_store(tmp_path / "data")
        await opened.write(lambda tx: opened.vault.keep(tx, "devices/1/key", canary))
        code = base64.b64encode(canary).decode()
        await opened.write(lambda tx: code, once=Once("a", "k", b"f"), returns=str)
        await asyncio.to_thread(search, "open")
        await opened.close()

    asyncio.run(use())
    search("closed")
    assert found == []
