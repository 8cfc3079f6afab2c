"""The AP method: the device has a setup network, is told there which Wi-Fi to join, and is then heard on the LAN.

A hub with a Wi-Fi interface to spare does it all. Without one the person's phone joins the setup network and tells the
device; the session goes on here meanwhile, and what the phone saw of it decides nothing: the announcement does.
"""

import asyncio
from contextlib import suppress

from msgspec import Struct

from pairing.ap import tuya
from pairing.ap.networkmanager import spare_radio
from pairing.ap.opening import Setups, open_setup
from pairing.ap.radio import PREFIXES, NoSpareRadioError, Radio, Radios, SetupNetwork, SetupNetworkError, spoken_in
from pairing.ap.setup import Connected, Status
from pairing.errors import (
    ChannelBrokenError,
    ProofFailedError,
    TooManyTriesError,
)
from pairing.methods import ez
from pairing.methods.method import TOKEN, AttemptContext, Follows, Input, MethodFailedError, SearchContext
from pairing.methods.over_lan import OverLan
from pairing.methods.telling import known_proof, tell, wanted_network
from pairing.methods.watched import Watched
from pairing.protocomm import http
from pairing.protocomm.calls import EndpointRefusedError
from pairing.session.states import Request
from pairing.text import clean
from pairing.wifi import WifiNetwork

NAME = "ap"


class Patience(Struct, frozen=True):
    """Seconds: to find the setup network, between scans, for the device to join, to be heard then, for the phone."""

    finding: float = 60.0
    between: float = 3.0
    joining: float = 45.0
    asking: float = 1.0
    announcing: float = 30.0
    phone: float = 420.0


class Ap:
    """A `Method`, of devices that are heard on `lan` once they were told.

    `radios` lends the hub's spare Wi-Fi interface, `setups` speaks to a device through it.
    """

    name = NAME
    # A phone or a hub has one radio for both, and most devices leave EZ mode for AP mode by themselves.
    follows: Follows | None = Follows(methods=(ez.NAME,), after=45.0)
    inputs: tuple[Input, ...] = (
        Input(name="ssid"),
        Input(name="wifi_password", secret=True, optional=True),
        Input(name="bssid", optional=True),
        Input(name="setup_ssid", optional=True),
        Input(name="setup_password", secret=True, optional=True),
        Input(name="pop", secret=True, optional=True),
        Input(name="username", optional=True),
        Input(name="security", optional=True),
        Input(name="pin", secret=True, optional=True),
        TOKEN,
    )

    def __init__(
        self,
        lan: OverLan,
        *,
        radios: Radios = spare_radio,
        setups: Setups = open_setup,
        patience: Patience | None = None,
    ) -> None:
        self._lan = lan
        self._radios = radios
        self._setups = setups
        self._patience = patience or Patience()

    async def search(self, context: SearchContext) -> None:
        network = wanted_network(context)
        watched = Watched(context)
        await self._lan.hear_beside(watched, NAME, lambda _: self._tell(watched, network))

    async def attempt(self, context: AttemptContext) -> None:
        await self._lan.attempt(context)

    async def _tell(self, watched: Watched, network: WifiNetwork) -> None:
        """Have the device told its network, and give it time to be heard on it. Raises MethodFailedError."""
        try:
            async with self._radios() as radio:
                status = await self._tell_by(radio, watched, network)
        except NoSpareRadioError as error:
            await watched.note("no_spare_radio", reason=error.detail)
            await watched.note("phone_local", **phone_steps(watched.request))
            await asyncio.sleep(self._patience.phone)
            return
        await watched.note("listening_on_lan", ssid=clean(network.ssid))
        await asyncio.sleep(self._patience.announcing)
        if watched.candidates:
            return
        raise MethodFailedError(
            "joined_never_announced" if isinstance(status, Connected) else "decoded_never_joined",
            ssid=clean(network.ssid),
        )

    async def _tell_by(self, radio: Radio, context: SearchContext, network: WifiNetwork) -> Status:
        """The hub's own radio does it: what the device last said of its joining."""
        found = await self._find(radio, context)
        await context.note("joining_setup_network", ssid=clean(found.ssid))
        proof = known_proof(context)
        speaks = spoken_in(found.ssid) or "protocomm"
        try:
            async with (
                radio.joined(found, context.secrets.get("setup_password", "")),
                self._setups(speaks, radio.interface, proof, self._lan.entropy) as setup,
            ):
                return await tell(setup, context, network, self._patience.joining, self._patience.asking)
        except SetupNetworkError as error:
            if error.reason == "not_found":
                raise MethodFailedError("setup_network_not_found", ssid=clean(found.ssid)) from error
            raise MethodFailedError(
                "setup_password_wrong" if error.reason == "password" else "setup_network_failed",
                ssid=clean(found.ssid),
                reason=error.reason,
            ) from error
        except (ProofFailedError, TooManyTriesError, ChannelBrokenError) as error:
            raise MethodFailedError("wrong_pop", ssid=clean(found.ssid)) from error
        except EndpointRefusedError as error:
            raise MethodFailedError("setup_refused", at=error.step) from error

    async def _find(self, radio: Radio, context: SearchContext) -> SetupNetwork:
        wanted = context.request.inputs.get("setup_ssid", "")
        shown = clean(wanted) or _patterns()
        await context.note("looking_for_setup_network", ssid=shown)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience.finding):
                while True:
                    found = [n for n in await radio.networks() if _meant(n, wanted)]
                    if len(found) == 1:
                        return found[0]
                    if found:
                        # Which of them is the person's own, nothing says; the others would learn the password.
                        names = ", ".join(clean(network.ssid) for network in found[:4])
                        raise MethodFailedError("several_setup_networks", ssids=names)
                    await asyncio.sleep(self._patience.between)
        raise MethodFailedError("setup_network_not_found", ssid=shown)


def phone_steps(request: Request) -> dict[str, str]:
    """What the phone is to do, by itself: which network to join, what is spoken there, at which address.

    Network name, password and token are not in it: the session's owner fetches them when it is about to send them.
    """
    wanted = request.inputs.get("setup_ssid", "")
    speaks = spoken_in(wanted) if wanted else None
    addresses = {"protocomm": f"{http.ADDRESS}:{http.PORT}", "tuya": f"{tuya.ADDRESSES[0]}:{tuya.PORT}"}
    told = {"setup_ssid": clean(wanted) or _patterns(), "settings": "handover"}
    for kind, address in addresses.items():
        if speaks in (None, kind):
            told[kind] = address
    return told


def _meant(network: SetupNetwork, wanted: str) -> bool:
    return network.ssid == wanted if wanted else spoken_in(network.ssid) is not None


def _patterns() -> str:
    return " ".join(f"{prefix}*" for prefix in PREFIXES)
