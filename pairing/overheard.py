"""Devices heard over Bluetooth LE that could be paired: what an advertisement says of who sends it. Pure."""

from typing import Final

from msgspec import Struct

from ble.adverts import BTHome, EspProvisioning, Improv, Kind, Unprovisioned, kind_of
from ble.errors import Malformed
from ble.radio import Advertisement
from pairing.gatt.profile import announced_by
from pairing.improv.messages import State
from pairing.methods import ble, ble_wifi, bthome, mesh
from pairing.methods.bthome import id_of
from pairing.text import clean

MAX_ADDRESS: Final = 36
"""Characters: the longest address there is is a UUID, where the system keeps addresses to itself."""
_IMPROV: Final[dict[int, str]] = {State.AUTHORIZED: "open", State.AUTHORIZATION_REQUIRED: "button"}


class Overheard(Struct, frozen=True, kw_only=True):
    """A device that waits to be paired by `method`. All of it is its own claim.

    `auth`: "pin" on its label, "button" to be pressed, "key" to decipher it, "open", or "" where it does not say.
    `mark`: `id` is the beginning of a longer one.
    """

    id: str
    method: str
    address: str
    name: str = ""
    product: str = ""
    auth: str = ""
    mark: bool = False
    paired: bool = False


def overheard(advertisement: Advertisement) -> Overheard | None:
    """Who could be paired by what it advertises; None of all others, and of what is malformed."""
    try:
        kind = kind_of(advertisement)
    except Malformed:
        return None
    address, name = clean(advertisement.address, MAX_ADDRESS), clean(advertisement.name)
    wifi = _wants_wifi(kind)
    if wifi is not None:
        return Overheard(id=id_of(address), method=ble_wifi.NAME, address=address, name=name, auth=wifi)
    if isinstance(kind, BTHome):
        auth = "key" if kind.encrypted else "open"
        return Overheard(id=id_of(address), method=bthome.NAME, address=address, name=name, auth=auth)
    if isinstance(kind, Unprovisioned):
        return Overheard(id=mesh.candidate_id(kind.device_uuid), method=mesh.NAME, address=address, name=name)
    announced = announced_by(advertisement)
    if announced is None or announced.paired:
        return None
    proof = "pin" if announced.pin else "open"
    return Overheard(id=announced.mark, method=ble.NAME, address=address, name=name, auth=proof, mark=True)


def _wants_wifi(kind: Kind) -> str | None:
    """How it is proven that the device may be told a network; None where it takes none."""
    if isinstance(kind, EspProvisioning):
        return ""
    return _IMPROV.get(kind.state) if isinstance(kind, Improv) else None
