"""The search for secrets finds them: what is planted, however it is written."""

import base64
import contextlib
import random
import sqlite3
from pathlib import Path

import pytest

from tests.security.canaries import Canaries

SECRET = "a secret of Anna's: 0815?"


def alone(name: str, secret: str | bytes) -> Canaries:
    canaries = Canaries()
    canaries.add(name, secret)
    return canaries


@pytest.mark.parametrize("offset", range(6))
@pytest.mark.parametrize("secret", [SECRET.encode(), bytes(range(200, 232)), b"\xfb\xff\xfe" * 5])
def test_it_is_found_however_it_is_written(offset: int, secret: bytes) -> None:
    canaries = alone("it", secret)
    around = bytes(range(offset)) + secret + bytes(7 - offset)
    written = (
        around,
        around.hex().encode(),
        around.hex().upper().encode(),
        base64.b64encode(around),
        base64.urlsafe_b64encode(around),
        base64.b64encode(around).rstrip(b"="),
    )
    noise = random.Random(offset).randbytes(4096)
    assert [canaries.found_in(noise + each + noise) for each in written] == [{"it"}] * len(written)
    assert canaries.found_in(noise) == set()
    assert canaries.found_in(around[: offset + len(secret) - 1]) == set()


def test_a_code_is_found_with_and_without_its_dashes() -> None:
    canaries = alone("code", "7K3M-PQ2X-9ABC")
    assert canaries.found_in(b"... 7K3M-PQ2X-9ABC ...") == {"code"}
    assert canaries.found_in(b"...7k3mpq2x9abc...") == {"code"}


def test_what_is_too_short_to_be_told_from_chance_is_not_looked_for() -> None:
    with pytest.raises(ValueError, match="too short"):
        alone("short", "1234567")


@pytest.mark.parametrize("size", [10, 5000, 100_000])
def test_it_is_found_in_a_database(tmp_path: Path, size: int) -> None:
    path = tmp_path / "planted.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t(a TEXT, b BLOB)")
        db.execute("INSERT INTO t VALUES(?, ?)", ("nothing", b"x" * size + SECRET.encode() + b"y" * size))
        db.commit()
        assert alone("it", SECRET).found_in_rows(path) == {"it"}
        assert alone("other", "another secret").found_in_rows(path) == set()
        assert [f.name for f in tmp_path.iterdir() if alone("it", SECRET[:10]).found_in_file(f)] == ["planted.db-wal"]
