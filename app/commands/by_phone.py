"""The phone's part of AP mode, played by the command: it tells a device in its setup network which Wi-Fi to join."""

import asyncio
import secrets
from typing import Final

from msgspec import Struct

from app.client import Client
from app.commands.exits import Exit
from app.commands.terminal import CommandError, event, plain
from pairing.ap.protocomm import ProtocommSetup
from pairing.ap.setup import Connecting, Failed, Reason
from pairing.errors import PairingError
from pairing.protocomm.client import Proof
from pairing.protocomm.http import HttpCarrier
from pairing.wifi import WifiNetwork

JOIN_WITHIN: Final = 60.0
"""Seconds for the device to say what became of it."""
ASK_EVERY: Final = 0.5

WHY: Final = {
    Reason.AUTH: "the Wi-Fi does not take that password",
    Reason.NOT_FOUND: "it does not see that Wi-Fi from where it is",
}


class SetupAddress(Struct, frozen=True):
    """Where the device is spoken to, once this machine has joined its setup network, and what is printed on it."""

    host: str
    port: int
    pop: str = ""


async def tell_device(api: Client, path: str, device: SetupAddress) -> None:
    """Tell it what the session at `path` hands over, and wait for its word. Raises CommandError, DoorstepError."""
    handed = await api.get(f"{path}/handover")
    network = WifiNetwork(handed["ssid"], handed["password"], handed["bssid"])
    try:
        async with HttpCarrier(device.host, device.port) as carrier, asyncio.timeout(JOIN_WITHIN):
            setup = ProtocommSetup(carrier.ask, Proof(device.pop), entropy=secrets.token_bytes)
            await setup.send(network, handed["token"].encode())
            # Nothing but asking tells.
            while isinstance(status := await setup.status(), Connecting):  # noqa: ASYNC110
                await asyncio.sleep(ASK_EVERY)
    except TimeoutError:
        raise _failure("it did not say in time whether it joined", "device_silent") from None
    except PairingError as error:
        raise _failure(str(error), error.code) from error
    if isinstance(status, Failed):
        raise _failure(WHY[status.reason], "wifi_not_joined")
    event({"device": "told", "ip": status.ip}, f"  [dim]the device has joined {plain(network.ssid)} {status.ip}[/]")


def _failure(why: str, code: str) -> CommandError:
    return CommandError(f"The device was not told: {why}.", exit=Exit.DEVICE, code=code)
