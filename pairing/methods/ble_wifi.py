"""BLE with Wi-Fi hand-over: the device is told over Bluetooth LE which Wi-Fi to join, and is then heard on the LAN."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from msgspec import Struct

from ble.adverts import EspProvisioning, Improv, kind_of, kind_or_unknown
from ble.radio import Advertisement, Connection, Radio
from pairing.ap.protocomm import ProtocommSetup
from pairing.ap.setup import Connected, Setup, Status
from pairing.errors import ChannelBrokenError, ProofFailedError, TooManyTriesError
from pairing.gatt.failures import translated
from pairing.improv import messages as improv
from pairing.improv.client import AuthorizationNeededError, RefusedCommandError, improv_setup
from pairing.methods.method import TOKEN, AttemptContext, Follows, Input, MethodFailedError, SearchContext
from pairing.methods.on_air import demand_radio
from pairing.methods.over_lan import OverLan
from pairing.methods.telling import known_proof, tell, wanted_network
from pairing.methods.watched import Watched
from pairing.protocomm import gatt as protocomm
from pairing.protocomm.calls import EndpointRefusedError
from pairing.text import clean
from pairing.wifi import WifiNetwork

NAME = "ble_wifi"


class Patience(Struct, frozen=True):
    """Seconds: to find a device, to see whether there are others, for its button, for it to join, to be heard then."""

    finding: float = 60.0
    others: float = 2.0
    button: float = 60.0
    joining: float = 60.0
    asking: float = 1.0
    announcing: float = 30.0


class BleWifi:
    """A `Method` over `radio`: Improv, and ESP-IDF's provisioning."""

    name = NAME
    follows: Follows | None = None
    inputs: tuple[Input, ...] = (
        Input(name="ssid"),
        Input(name="wifi_password", secret=True, optional=True),
        Input(name="bssid", optional=True),
        Input(name="ble_name", optional=True),
        Input(name="pop", secret=True, optional=True),
        Input(name="username", optional=True),
        Input(name="security", optional=True),
        Input(name="pin", secret=True, optional=True),
        TOKEN,
    )

    def __init__(self, lan: OverLan, radio: Radio, *, patience: Patience | None = None) -> None:
        self._lan = lan
        self._radio = radio
        self._patience = patience or Patience()

    async def search(self, context: SearchContext) -> None:
        network = wanted_network(context)
        demand_radio(self._radio)
        watched = Watched(context)
        await self._lan.hear_beside(watched, NAME, lambda _: self._tell(watched, network))

    async def attempt(self, context: AttemptContext) -> None:
        await self._lan.attempt(context)

    async def _tell(self, watched: Watched, network: WifiNetwork) -> None:
        found = await self._find(watched)
        await watched.note("connecting", name=clean(found.name), address=clean(found.address))
        try:
            status = await self._tell_it(found, watched, network)
        except (ProofFailedError, TooManyTriesError, ChannelBrokenError) as error:
            raise MethodFailedError("wrong_pop", ssid=clean(found.name)) from error
        except AuthorizationNeededError as error:
            raise MethodFailedError("button_not_pressed") from error
        except (EndpointRefusedError, RefusedCommandError) as error:
            raise MethodFailedError("setup_refused", at=error.step) from error
        await watched.note("listening_on_lan", ssid=clean(network.ssid))
        await asyncio.sleep(self._patience.announcing)
        if not watched.candidates:
            code = "joined_never_announced" if isinstance(status, Connected) else "decoded_never_joined"
            raise MethodFailedError(code, ssid=clean(network.ssid))

    async def _tell_it(self, found: Advertisement, watched: Watched, network: WifiNetwork) -> Status:
        service = _service(found)
        with translated("connecting"):
            async with (
                self._radio.connect(found.address, services=(service,)) as connection,
                self._setup(service, connection, watched) as setup,
            ):
                return await tell(setup, watched, network, self._patience.joining, self._patience.asking)

    @asynccontextmanager
    async def _setup(self, service: str, connection: Connection, watched: Watched) -> AsyncIterator[Setup]:
        if service == improv.SERVICE:
            async with improv_setup(connection) as setup:
                if setup.state is improv.State.AUTHORIZATION_REQUIRED:
                    await watched.note("press_button")
                    await setup.identify()
                    await setup.authorized(self._patience.button)
                yield setup
            return
        carrier = protocomm.GattCarrier(connection)
        await carrier.open()
        yield ProtocommSetup(carrier.ask, known_proof(watched), entropy=self._lan.entropy)

    async def _find(self, watched: Watched) -> Advertisement:
        """The one device that waits to be told a network, or the one that is asked for by name."""
        wanted = watched.request.inputs.get("ble_name", "")
        await watched.note("looking_for_device", **({"name": clean(wanted)} if wanted else {}))
        seen: dict[str, Advertisement] = {}
        some = asyncio.Event()

        def heard(advertisement: Advertisement) -> None:
            if _waits(advertisement) and _is_meant(advertisement, wanted) and len(seen) < 64:
                seen[advertisement.address] = advertisement
                some.set()

        stop = self._radio.listen(heard)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience.finding):
                    await some.wait()
                    await asyncio.sleep(0 if wanted else self._patience.others)
        finally:
            stop()
        if not seen:
            raise MethodFailedError("not_found")
        if len(seen) > 1:
            # Which of them is the person's own, nothing says; the others would learn the password.
            names = ", ".join(clean(each.name or each.address) for each in list(seen.values())[:4])
            raise MethodFailedError("several_setup_networks", ssids=names)
        return next(iter(seen.values()))


def _service(advertisement: Advertisement) -> str:
    """By which it is told its network."""
    return improv.SERVICE if isinstance(kind_of(advertisement), Improv) else protocomm.SERVICE


def _is_meant(advertisement: Advertisement, wanted: str) -> bool:
    """By its name, or its address; "" means any."""
    return wanted in ("", advertisement.name) or wanted.upper() == advertisement.address.upper()


def _waits(advertisement: Advertisement) -> bool:
    """It says that it has no network yet."""
    kind = kind_or_unknown(advertisement)
    if isinstance(kind, Improv):
        return kind.state in (improv.State.AUTHORIZED, improv.State.AUTHORIZATION_REQUIRED)
    return isinstance(kind, EspProvisioning)
