"""Octets that are too many for the database: files of their own in the data folder, written off the event loop."""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final

from msgspec import Struct

from app.errors import Invalid, NotFound
from app.store.folder import FOLDER_MODE

CHUNK: Final = 256 * 1024


class TooLarge(Invalid):
    """The file is larger than may be."""

    code = "file_too_large"


class Blob(Struct, frozen=True):
    """A whole file: its name here, its octets, and their hash in hexadecimal."""

    name: str
    size: int
    sha256: str


class Blobs:
    """Files under names of this class's own making. What a crash left half written goes before the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._first = True
        self._creating = Lock()

    async def take(self, chunks: AsyncIterator[bytes], most: int) -> Blob:
        """Keep what comes, on disk when this returns; raises TooLarge beyond `most` octets, and keeps nothing then."""
        name = secrets.token_hex(16)
        path = self._folder / f"{name}.new"
        file = await asyncio.to_thread(self._create, path)
        try:
            blob = await self._filled(file, chunks, name, most)
            await asyncio.to_thread(path.rename, self._folder / name)
        except BaseException:
            await asyncio.to_thread(path.unlink, missing_ok=True)
            raise
        finally:
            await asyncio.to_thread(file.close)
        return blob

    async def _filled(self, file: BinaryIO, chunks: AsyncIterator[bytes], name: str, most: int) -> Blob:
        digest, size, waiting = hashlib.sha256(), 0, bytearray()
        async for chunk in chunks:
            size += len(chunk)
            if size > most:
                raise TooLarge(f"at most {most} octets", most=most)
            waiting += chunk
            if len(waiting) >= CHUNK:
                digest.update(waiting)
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
        digest.update(waiting)
        await asyncio.to_thread(_end, file, bytes(waiting))
        return Blob(name, size, digest.hexdigest())

    async def read(self, name: str, begin: int = 0) -> AsyncIterator[bytes]:
        """The octets from `begin` on; raises NotFound before the first."""
        try:
            file = await asyncio.to_thread((self._folder / name).open, "rb")
        except OSError as error:
            raise NotFound from error
        await asyncio.to_thread(file.seek, begin)
        return _chunks(file)

    async def drop(self, name: str) -> None:
        """Remove it; what is read of it still is read to its end."""
        await asyncio.to_thread((self._folder / name).unlink, missing_ok=True)

    def _create(self, path: Path) -> BinaryIO:
        with self._creating:
            self._folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
            for left in self._folder.glob("*.new") if self._first else ():
                left.unlink()
            self._first = False
            return path.open("xb")


def _end(file: BinaryIO, last: bytes) -> None:
    file.write(last)
    file.flush()
    os.fsync(file.fileno())


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
    finally:
        file.close()
