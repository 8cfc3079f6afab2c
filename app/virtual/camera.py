"""A virtual device that can see: it is told its network by a code held before its camera."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pairing.qr import camera
from pairing.wifi import Provisioned


class NotLooking(ValueError):
    """The device is in no setup mode: its camera is for other things now."""

    def __init__(self) -> None:
        super().__init__("the device is not being set up: reset it first")


class Camera:
    """An `app.virtual.setup.Setup`."""

    def __init__(self) -> None:
        self._seen: asyncio.Queue[Provisioned] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Camera"]:
        """It looks while the context lasts."""
        self._seen = asyncio.Queue(1)
        try:
            yield self
        finally:
            self._seen = None

    async def next(self) -> Provisioned:
        """What it sees, when it sees something new."""
        if self._seen is None:
            raise NotLooking
        return await self._seen.get()

    async def outcome(self, refused: str | None) -> None:
        """A camera has no way to answer: it blinks, or says so aloud."""

    def see(self, text: str) -> None:
        """A code is held before it; raises UnreadableCodeError, UnfitNetworkError, NotLooking."""
        provisioned = camera.parse(text)
        if self._seen is None:
            raise NotLooking
        if not self._seen.full():  # the same code is seen many times a second
            self._seen.put_nowait(provisioned)
