"""Secrets that are known, to be looked for where none may stand: as they are, in hexadecimal, in base64."""

import base64
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

# What is shorter turns up by chance in a megabyte of random octets.
SHORTEST = 8


def forms(secret: bytes) -> Iterator[bytes]:
    """Every way `secret` may be written inside of something longer."""
    yield from {secret, secret.upper(), secret.lower()}
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + secret)
        # Letters at both ends hold bits of what stands beside the secret.
        whole = encoded[-(-8 * offset // 6) : 8 * (offset + len(secret)) // 6]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))


class Canaries:
    """Known secrets, by what they are called."""

    def __init__(self) -> None:
        self._forms: dict[bytes, str] = {}
        self.names: set[str] = set()

    def add(self, name: str, secret: str | bytes) -> None:
        """Look for `secret` from now on; a code also without the dashes it is shown with."""
        octets = secret.encode() if isinstance(secret, str) else secret
        if len(octets) < SHORTEST:
            raise ValueError(f"{name} is too short to be looked for")
        self.names.add(name)
        for written in {octets, octets.replace(b"-", b"")} if isinstance(secret, str) else {octets}:
            self._forms.update((form, name) for form in forms(written))

    def found_in(self, data: bytes) -> set[str]:
        """The names of those that stand in `data`."""
        return {name for form, name in self._forms.items() if form in data}

    def found_in_file(self, path: Path) -> set[str]:
        """Those in a file."""
        return self.found_in(path.read_bytes())

    def found_in_rows(self, database: Path) -> set[str]:
        """Those in the values of every table, also where a value is spread over pages of the file."""
        with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as db:
            return self.found_in(b"\n".join(_values(db)))


def _values(db: sqlite3.Connection) -> Iterator[bytes]:
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
        for row in db.execute(f'SELECT * FROM "{table}"'):
            yield from (value if isinstance(value, bytes) else str(value).encode() for value in row)
