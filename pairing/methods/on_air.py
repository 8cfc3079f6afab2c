"""What methods over a radio have in common: to listen, and a search in which who is heard no more is lost."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ble.radio import Advertisement, Radio
from pairing.methods.method import MethodFailedError, SearchContext
from pairing.session.states import Candidate

PATIENCE = 120.0
"""Seconds to be heard: somebody has to fetch the device, and press its button."""
LOST_AFTER = 20.0
"""Seconds without an advertisement after which a device is gone: it sends several a second, of which most are heard."""
MAX_WAITING = 64
"""Advertisements that wait to be looked at; each is said again several times a second."""


def demand_radio(radio: Radio) -> None:
    """Raise MethodFailedError where there is no Bluetooth to use now."""
    if not radio.state.usable:
        raise MethodFailedError("radio_off", reason=radio.state.sentence)


@contextmanager
def listening(radio: Radio, wanted: Callable[[Advertisement], bool]) -> Iterator[asyncio.Queue[Advertisement]]:
    """What is wanted of what is heard, while the context lasts. `wanted` must be quick: it is asked of everything."""
    heard: asyncio.Queue[Advertisement] = asyncio.Queue(MAX_WAITING)

    def keep(advertisement: Advertisement) -> None:
        if wanted(advertisement):
            with suppress(asyncio.QueueFull):  # it is said again
                heard.put_nowait(advertisement)

    stop = radio.listen(keep)
    try:
        yield heard
    finally:
        stop()


async def search_air(
    context: SearchContext,
    radio: Radio,
    *,
    wanted: Callable[[Advertisement], bool],
    candidate_of: Callable[[Advertisement], Candidate | None],
    patience: float,
    lost_after: float,
) -> None:
    """Say ready, and report candidates for `patience` seconds. Raises MethodFailedError where there is no Bluetooth."""
    demand_radio(radio)
    with listening(radio, wanted) as heard:
        await context.ready()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await _report(context, heard, candidate_of, lost_after)


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
