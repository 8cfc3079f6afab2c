"""How a virtual device without a network is seen and spoken to; `app.virtual.on_air` is it over a virtual radio."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from pairing.gatt.device import Inside


class Announcing(Protocol):
    """A device that is there."""

    @property
    def address(self) -> str: ...

    @property
    def lost(self) -> asyncio.Future[None]:
        """Done once it is cut off from everybody."""
        ...

    async def announce(self, data: bytes) -> None:
        """Say this service data of ours from now on."""
        ...

    async def close(self) -> None:
        """Off the air; to close twice does nothing."""
        ...


class Face(Protocol):
    def open(self, inside: Inside, name: str) -> AbstractAsyncContextManager[Announcing]:
        """There while the context lasts, and heard once it announces. Raises RadioOff."""
        ...
