"""Where a device may be: its addresses, tried side by side, so that one that leads nowhere holds nobody up."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from pairing.methods.method import Context
from pairing.uncancelled import to_the_end

CONNECT_TIMEOUT = 5.0
"""Seconds for one address; a LAN answers in milliseconds or, behind client isolation, never."""
STAGGER = 0.25
"""Seconds an address has before the next is tried beside it (RFC 8305, 5)."""
MAX_PLACES = 16
"""An announcement names eight addresses; so this is where a device was, and where it has gone."""


class Place(NamedTuple):
    address: str
    port: int


class Connection(NamedTuple):
    """An open connection to whoever is at this place."""

    place: Place
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Places:
    """Those that are left to try, in their order. Each leads to one connection at most."""

    def __init__(self) -> None:
        self._known: set[Place] = set()
        self._left: list[Place] = []

    def add(self, addresses: Iterable[str], port: int) -> bool:
        """Whether there is one among them that is not known yet, and room for it."""
        new = [place for a in addresses if (place := Place(a, port)) not in self._known]
        new = list(dict.fromkeys(new))[: MAX_PLACES - len(self._known)]
        self._known.update(new)
        self._left.extend(new)
        return bool(new)

    async def first(self, context: Context) -> Connection | None:
        """A connection to the first that answers, which the caller closes; None, once none does. Those not tried to
        the end are left for the next time.
        """
        racing = dict[asyncio.Task[Connection | None], Place]()
        won: Connection | None = None
        try:
            won = await self._race(context, racing)
        finally:
            try:
                await to_the_end(_call_off(racing))
            except asyncio.CancelledError:
                if won is not None:
                    won.writer.close()
                raise
        return won

    async def _race(self, context: Context, racing: dict[asyncio.Task[Connection | None], Place]) -> Connection | None:
        """The first; who is still on the way stays in `racing`."""
        waiting = list(self._left)
        while waiting or racing:
            if waiting:
                place = waiting.pop(0)
                racing[asyncio.create_task(_connect(context, place))] = place
            patience = STAGGER if waiting else None
            done, _ = await asyncio.wait(racing, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                self._left.remove(racing[task])
                connection = task.result()
                del racing[task]
                if connection is not None:
                    return connection
        return None


async def _connect(context: Context, place: Place) -> Connection | None:
    await context.note("connecting", address=place.address, port=str(place.port))
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return Connection(place, *await asyncio.open_connection(*place))
    except (OSError, TimeoutError):
        return None


async def _call_off(racing: Iterable[asyncio.Task[Connection | None]]) -> None:
    """Cancel them all; what has come of one meanwhile is closed."""
    for task in racing:
        task.cancel()
    for came in await asyncio.gather(*racing, return_exceptions=True):
        if isinstance(came, Connection):
            came.writer.close()
