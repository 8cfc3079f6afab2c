"""What devices and hubs say of themselves on the LAN (DNS-SD, RFC 6763), as structs, and how it is read.

A device announces `_doorstep._tcp.local.`: TXT v=1, id (device id), p (product id), s (0 free, 1 paired), a (pin or
open), n (name), t (where it was given a session's token, pairing/token.py), and in SRV the port it is paired through. A
hub announces `_doorstep-hub._tcp.local.`: TXT v=1, id (hub id), and lp (link port), which SRV repeats. The instance
name is the id. Whatever is heard is a claim: nothing here proves who announces.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from msgspec import Struct

from pairing.text import clean

DEVICE_SERVICE = "_doorstep._tcp.local."
HUB_SERVICE = "_doorstep-hub._tcp.local."
VERSION = "1"

_DEVICE_ID = re.compile(r"d-[a-z2-7]{24}")
_HUB_ID = re.compile(r"h-[a-z2-7]{24}")
_PRODUCT = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_HINT = re.compile(r"([0-9a-f]{16})?")


class Announcement(Struct, frozen=True, kw_only=True):
    """A device as it announces itself. `addresses` are newest first, IPv6 link-local ones with their scope.

    `hint` is "" unless the device was given a session's token.
    """

    id: str
    product: str
    name: str
    addresses: tuple[str, ...]
    port: int
    paired: bool
    auth: str
    hint: str = ""


class HubAnnouncement(Struct, frozen=True, kw_only=True):
    """A hub as it announces itself; `port` is its link port."""

    id: str
    addresses: tuple[str, ...]
    port: int


class Gone(Struct, frozen=True):
    """The announcer of this id said goodbye, or announces no longer what is looked for."""

    id: str


class Service(Struct, frozen=True, kw_only=True):
    """What to announce: `type` is one of the two services, `txt` its TXT record."""

    type: str
    id: str
    port: int
    txt: dict[str, str]


def device_service(
    device_id: str, *, product: str, port: int, paired: bool, auth: str = "open", name: str = "", hint: str = ""
) -> Service:
    """What a device announces."""
    txt = {"v": VERSION, "id": device_id, "p": product, "s": "1" if paired else "0", "a": auth, "n": clean(name)}
    if hint:
        txt["t"] = hint
    return Service(type=DEVICE_SERVICE, id=device_id, port=port, txt=txt)


def hub_service(hub_id: str, *, link_port: int) -> Service:
    """What a hub announces."""
    txt = {"v": VERSION, "id": hub_id, "lp": str(link_port)}
    return Service(type=HUB_SERVICE, id=hub_id, port=link_port, txt=txt)


def parse_device(txt: Mapping[str, str | None], addresses: tuple[str, ...], port: int | None) -> Announcement | None:
    """The announcement in a device's TXT record; None where it is not one of ours, or not sound."""
    device_id, product = txt.get("id") or "", txt.get("p") or ""
    hint = txt.get("t") or ""
    sound = _DEVICE_ID.fullmatch(device_id) and _PRODUCT.fullmatch(product) and _HINT.fullmatch(hint)
    if not (
        sound
        and txt.get("s") in ("0", "1")
        and txt.get("v") == VERSION
        and txt.get("a") in ("pin", "open")
        and addresses
        and port
    ):
        return None
    return Announcement(
        id=device_id,
        product=product,
        name=clean(txt.get("n") or ""),
        addresses=addresses,
        port=port,
        paired=txt.get("s") == "1",
        auth=txt.get("a") or "",
        hint=hint,
    )


def parse_hub(txt: Mapping[str, str | None], addresses: tuple[str, ...], port: int | None) -> HubAnnouncement | None:
    """The announcement in a hub's TXT record; None where it is not one of ours, or not sound."""
    hub_id, link_port = txt.get("id") or "", txt.get("lp") or ""
    if not (_HUB_ID.fullmatch(hub_id) and txt.get("v") == VERSION and addresses and link_port == str(port)):
        return None
    return HubAnnouncement(id=hub_id, addresses=addresses, port=int(link_port))


A = TypeVar("A", bound=Announcement | HubAnnouncement)


@dataclass(frozen=True, slots=True)
class Kind(Generic[A]):
    """Who can be looked for: the service's type, the form of its ids, and how its announcement is read."""

    service: str
    ids: re.Pattern[str]
    parse: Callable[[Mapping[str, str | None], tuple[str, ...], int | None], A | None]

    def id_in(self, name: str) -> str | None:
        """The id an instance name is made of; None where it is of none, and nobody's who could be heard."""
        announcer_id = name.removesuffix("." + self.service)
        return announcer_id if self.ids.fullmatch(announcer_id) else None


DEVICES = Kind(DEVICE_SERVICE, _DEVICE_ID, parse_device)
HUBS = Kind(HUB_SERVICE, _HUB_ID, parse_hub)
