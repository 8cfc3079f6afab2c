"""The BLE method: the device is heard over Bluetooth LE, and activated over our own GATT service, with no network."""

import asyncio
from contextlib import suppress

from ble.radio import Advertisement, Radio
from pairing.errors import MalformedMessageError
from pairing.gatt.failures import translated
from pairing.gatt.profile import ACTIVATION, SERVICE, WHO, announced_by
from pairing.gatt.stream import streams_over
from pairing.identity import FINGERPRINT_SIZE, peer_id
from pairing.methods.method import AttemptContext, Follows, Input, MethodFailedError, SearchContext
from pairing.methods.over_lan import OverLan
from pairing.session.states import Candidate, Request
from pairing.text import clean

NAME = "ble"
PATIENCE = 120.0
"""Seconds to be heard: somebody has to fetch the device, and press its button."""
LOST_AFTER = 20.0
"""Seconds without an advertisement after which a device is gone: it sends several a second, of which most are heard."""
CONNECT_WITHIN = 30.0


class Ble:
    """A `Method` over `radio`; `lan` holds what an activation needs, whatever carries it."""

    name = NAME
    follows: Follows | None = None
    inputs: tuple[Input, ...] = (Input(name="pin", secret=True, optional=True),)

    def __init__(
        self, lan: OverLan, radio: Radio, *, patience: float = PATIENCE, lost_after: float = LOST_AFTER
    ) -> None:
        self._lan = lan
        self._radio = radio
        self._patience = patience
        self._lost_after = lost_after

    async def search(self, context: SearchContext) -> None:
        demand_radio(self._radio)
        heard: asyncio.Queue[Advertisement] = asyncio.Queue(64)
        stop = self._radio.listen(lambda advertisement: _keep(heard, advertisement))
        try:
            await context.ready()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await self._report(context, heard)
        finally:
            stop()

    async def attempt(self, context: AttemptContext) -> None:
        (address,) = context.candidate.addresses
        await context.note("connecting", address=clean(address))
        with translated("connecting"):
            async with self._radio.connect(address, services=(SERVICE,), timeout=CONNECT_WITHIN) as connection:
                who = await connection.read(WHO)
                if len(who) != FINGERPRINT_SIZE:
                    raise MalformedMessageError("fingerprint", step="connecting")
                async with streams_over(connection, ACTIVATION) as (reader, writer):
                    await self._lan.activate_over(context, reader, writer, token=b"", expect=peer_id("d", who))

    async def _report(self, context: SearchContext, heard: asyncio.Queue[Advertisement]) -> None:
        loop = asyncio.get_running_loop()
        last: dict[str, float] = {}
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lost_after / 4):
                    candidate = _candidate(await heard.get(), context.request)
                    if candidate is not None:
                        new = candidate.id not in last
                        last[candidate.id] = loop.time()
                        if new:
                            await context.heard(candidate)
            for gone in [mark for mark, at in last.items() if loop.time() - at > self._lost_after]:
                del last[gone]
                await context.lost(gone)


def demand_radio(radio: Radio) -> None:
    """Raise MethodFailedError where there is no Bluetooth to use now."""
    if not radio.state.usable:
        raise MethodFailedError("radio_off", reason=radio.state.sentence)


def _keep(heard: asyncio.Queue[Advertisement], advertisement: Advertisement) -> None:
    if announced_by(advertisement) is not None:
        with suppress(asyncio.QueueFull):  # it is said again several times a second
            heard.put_nowait(advertisement)


def _candidate(advertisement: Advertisement, request: Request) -> Candidate | None:
    """Free, or asked for by id: whether a paired device may be paired anew is its own decision, proven."""
    announced = announced_by(advertisement)
    if announced is None:
        return None
    meant = request.device if request.device is not None and request.device.startswith(announced.mark) else None
    if announced.paired and meant is None:
        return None
    return Candidate(
        id=meant or announced.mark,
        method=NAME,
        name=clean(advertisement.name),
        auth="pin" if announced.pin else "open",
        addresses=(advertisement.address,),
    )
