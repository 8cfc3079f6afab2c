"""Codes printed on devices, as the companion app is told what they say."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from app.errors import Invalid
from app.onboarding.network_model import unfit
from pairing.errors import PairingError
from pairing.methods import ble_wifi
from pairing.methods.method import Method
from pairing.qr import Printed, UnreadableCodeError, parse
from pairing.qr.printed import MAX_CODE
from pairing.session.states import ANY
from pairing.wifi import UnfitNetworkError

Code = Annotated[str, Meta(min_length=1, max_length=MAX_CODE, description="the text of a QR code, or digits to type")]


class CodeNotUnderstood(Invalid):
    """The code is of no format the hub knows, or has a fault."""

    code = UnreadableCodeError.code
    hint = "Scan the code again, type the digits under it, or choose another way."


class MatterCode(Struct, frozen=True):
    """What a Matter controller needs. The digits to type hold the upper four bits of the discriminator only."""

    passcode: int
    short_discriminator: int
    discriminator: int | None
    vendor_id: int | None
    product_id: int | None
    flow: int | None


class ScannedCode(Struct, frozen=True):
    """What a code printed on a device says: which `method` to start a pairing with, and what it gives to it.

    `available`: this hub has that method. `needs` are inputs the method has to be given besides. `transports` are the
    ways the device can be reached. With a `link` alone, only its maker's cloud knows more.
    """

    kind: str
    method: str
    available: bool
    needs: list[str]
    device_id: str
    name: str
    product: str
    transports: list[str]
    inputs: dict[str, str]
    secrets: dict[str, str]
    matter: MatterCode | None
    link: str


def read(text: str) -> Printed:
    """A printed code; raises CodeNotUnderstood, and what is wrong with the network it names."""
    try:
        return parse(text)
    except UnfitNetworkError as error:
        raise unfit(error) from error
    except PairingError as error:
        raise CodeNotUnderstood(str(error)) from error


def inputs_of(printed: Printed) -> dict[str, str]:
    """What of a code a session may keep in the clear, by the methods' names for it."""
    told = {
        "setup_ssid": printed.network,
        "username": printed.username,
        "security": "" if printed.security is None else str(printed.security),
        "ble_name": printed.name if printed.method == ble_wifi.NAME else "",
        "maker_id": printed.device if printed.kind == "tuya" else "",
    }
    return {name: value for name, value in told.items() if value}


def secrets_of(printed: Printed) -> dict[str, str]:
    """What of a code is secret, by the methods' names for it."""
    told = {"pin": printed.pin, "pop": printed.pop, "setup_password": printed.network_password}
    return {name: value for name, value in told.items() if value}


def scanned(printed: Printed, methods: Sequence[Method]) -> ScannedCode:
    """A code as the app is told of it, on a hub with these methods."""
    inputs, secrets = inputs_of(printed), secrets_of(printed)
    method = next((one for one in methods if one.name == printed.method), None)
    required = () if method is None else (i.name for i in method.inputs if i.required)
    return ScannedCode(
        kind=printed.kind,
        method=printed.method,
        available=method is not None or (printed.method == ANY and bool(methods)),
        needs=[name for name in required if name not in inputs | secrets],
        device_id=printed.device if printed.kind == "doorstep" else "",
        name=printed.name,
        product=printed.product,
        transports=list(printed.transports),
        inputs=inputs,
        secrets=secrets,
        matter=_matter(printed),
        link=printed.link,
    )


def _matter(printed: Printed) -> MatterCode | None:
    if printed.passcode is None or printed.short_discriminator is None:
        return None
    return MatterCode(
        passcode=printed.passcode,
        short_discriminator=printed.short_discriminator,
        discriminator=printed.discriminator,
        vendor_id=printed.vendor_id,
        product_id=printed.product_id,
        flow=printed.flow,
    )
