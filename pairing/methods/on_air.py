"""A search over a radio: who is heard becomes a candidate, who is heard no more is lost."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ble.radio import Advertisement, Radio
from pairing.methods.method import SearchContext
from pairing.session.states import Candidate

MAX_WAITING = 64
"""Advertisements that wait to be looked at; each is said again several times a second."""


async def search_air(
    context: SearchContext,
    radio: Radio,
    *,
    wanted: Callable[[Advertisement], bool],
    candidate_of: Callable[[Advertisement], Candidate | None],
    patience: float,
    lost_after: float,
) -> None:
    """Say ready, and report candidates for `patience` seconds. `wanted` must be quick: it is asked of everything."""
    heard: asyncio.Queue[Advertisement] = asyncio.Queue(MAX_WAITING)

    def keep(advertisement: Advertisement) -> None:
        if wanted(advertisement):
            with suppress(asyncio.QueueFull):
                heard.put_nowait(advertisement)

    stop = radio.listen(keep)
    try:
        await context.ready()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await _report(context, heard, candidate_of, lost_after)
    finally:
        stop()


async def _report(
    context: SearchContext,
    heard: asyncio.Queue[Advertisement],
    candidate_of: Callable[[Advertisement], Candidate | None],
    lost_after: float,
) -> None:
    loop = asyncio.get_running_loop()
    last: dict[str, float] = {}
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(lost_after / 4):
                candidate = candidate_of(await heard.get())
                if candidate is not None:
                    new = candidate.id not in last
                    last[candidate.id] = loop.time()
                    if new:
                        await context.heard(candidate)
        for gone in [known for known, at in last.items() if loop.time() - at > lost_after]:
            del last[gone]
            await context.lost(gone)
