"""A device is told its network by whatever way it can be spoken to, and asked what became of it."""

import asyncio
from contextlib import suppress

from pairing.ap.setup import Connected, Connecting, Failed, Reason, Setup, Status
from pairing.errors import ConnectionLostError, PeerSilentError
from pairing.methods.method import Context, MethodFailedError
from pairing.protocomm.client import USERNAME, Proof
from pairing.text import clean
from pairing.wifi import WifiNetwork, network_of


def wanted_network(context: Context) -> WifiNetwork:
    """The network of the session's inputs. Raises UnfitNetworkError."""
    inputs, password = context.request.inputs, context.secrets.get("wifi_password", "")
    return network_of(inputs["ssid"], password, inputs.get("bssid", ""))


def known_proof(context: Context) -> Proof:
    """The proof of possession of the session's inputs."""
    inputs = context.request.inputs
    scheme = inputs.get("security", "")
    username = inputs.get("username", USERNAME)
    return Proof(context.secrets.get("pop", ""), username, int(scheme) if scheme.isdecimal() else None)


async def tell(setup: Setup, context: Context, network: WifiNetwork, joining: float, asking: float) -> Status:
    """What the device last said of its joining: Connected, or Connecting after `joining` seconds, asked every `asking`.

    Raises MethodFailedError where it says that it failed, PairingError where it cannot be spoken to.
    """
    seen = await setup.scan()
    if seen and all(one.ssid != clean(network.ssid) for one in seen):
        await context.note("wifi_not_in_its_sight", ssid=clean(network.ssid))
    await context.note("telling_device", ssid=clean(network.ssid))
    took_token = await setup.send(network, bytes.fromhex(context.secrets["token"]))
    await context.note("device_told", token="taken" if took_token else "not_taken")
    status = await _outcome(setup, joining, asking) if setup.reports else Connecting()
    if isinstance(status, Failed):
        code = "wifi_not_found" if status.reason is Reason.NOT_FOUND else "wifi_password_wrong"
        raise MethodFailedError(code, ssid=clean(network.ssid))
    if isinstance(status, Connected):
        await context.note("device_joined_wifi", **({"address": status.ip} if status.ip else {}))
    return status


async def _outcome(setup: Setup, joining: float, asking: float) -> Status:
    with suppress(TimeoutError):
        async with asyncio.timeout(joining):
            while True:
                # To join, a device may change its channel, which loses us for a moment, or for good: it has left.
                with suppress(ConnectionLostError, PeerSilentError):
                    if not isinstance(status := await setup.status(), Connecting):
                        return status
                await asyncio.sleep(asking)
    return Connecting()
