"""The BLE method: the device is heard over Bluetooth LE, and activated over our own GATT service, with no network."""

from ble.radio import Advertisement, Radio
from pairing.errors import MalformedMessageError
from pairing.gatt.failures import translated
from pairing.gatt.profile import ACTIVATION, SERVICE, WHO, announced_by
from pairing.gatt.stream import streams_over
from pairing.identity import FINGERPRINT_SIZE, peer_id
from pairing.methods.method import AttemptContext, Follows, Input, SearchContext
from pairing.methods.on_air import LOST_AFTER, PATIENCE, search_air
from pairing.methods.over_lan import OverLan
from pairing.session.states import Candidate, Request
from pairing.text import clean

NAME = "ble"
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
        await search_air(
            context,
            self._radio,
            wanted=lambda advertisement: announced_by(advertisement) is not None,
            candidate_of=lambda advertisement: _candidate(advertisement, context.request),
            patience=self._patience,
            lost_after=self._lost_after,
        )

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
