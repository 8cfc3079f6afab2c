"""Doorstep's own GATT service (PROTOCOL.md, "Bluetooth LE"). A pair of characteristics is a stream of octets each way.

On each stream runs what runs over TCP on a LAN: frames behind their length, cut where a write or notification ends.
"""

from typing import Final

from msgspec import Struct

from ble.adverts import DOORSTEP_SERVICE
from ble.radio import Advertisement
from pairing.identity import FINGERPRINT_SIZE, peer_id

SERVICE: Final = DOORSTEP_SERVICE
TOKEN: Final = "d0025703-9a4b-4c3e-8f1d-6b0e5a7c2d10"  # noqa: S105 - a UUID
"""Written with response, where a device is told a Wi-Fi network by another service: the session's token."""


WHO: Final = "d0025706-9a4b-4c3e-8f1d-6b0e5a7c2d10"
"""Read: the device's fingerprint, 15 octets."""
MARK_SIZE: Final = 9
"""Octets of it in an advertisement: flags, service data and both of their heads fill its 31."""
_MARK_LETTERS: Final = len("d-") + MARK_SIZE * 8 // 5
_PAIRED, _PIN = 1, 2


class Announced(Struct, frozen=True):
    """What a device advertises of itself. `mark` is the beginning of its id; all of it is its own claim."""

    mark: str
    paired: bool
    pin: bool


class Stream(Struct, frozen=True):
    """`to_device` is written with response, `from_device` notifies; subscribing to it opens the stream."""

    to_device: str
    from_device: str


ACTIVATION: Final = Stream("d0025701-9a4b-4c3e-8f1d-6b0e5a7c2d10", "d0025702-9a4b-4c3e-8f1d-6b0e5a7c2d10")
LINK: Final = Stream("d0025704-9a4b-4c3e-8f1d-6b0e5a7c2d10", "d0025705-9a4b-4c3e-8f1d-6b0e5a7c2d10")


def announcement(fingerprint: bytes, *, paired: bool, pin: bool) -> bytes:
    """The service data of a device: one octet of flags (1 paired, 2 PIN), and the beginning of its fingerprint."""
    return bytes([(_PAIRED if paired else 0) | (_PIN if pin else 0)]) + fingerprint[:MARK_SIZE]


def announced_by(advertisement: Advertisement) -> Announced | None:
    """What one of ours says of itself; None of any other, and of what is malformed."""
    data = advertisement.service_data.get(SERVICE, b"")
    if len(data) != 1 + MARK_SIZE:
        return None
    whole = peer_id("d", data[1:].ljust(FINGERPRINT_SIZE, b"\0"))
    return Announced(whole[:_MARK_LETTERS], bool(data[0] & _PAIRED), bool(data[0] & _PIN))
