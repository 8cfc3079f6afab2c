"""Doorstep's own GATT service (PROTOCOL.md, "Bluetooth LE"). A pair of characteristics is a stream of octets each way.

On each stream runs what runs over TCP on a LAN: frames behind their length, cut where a write or notification ends.
"""

from typing import Final

from msgspec import Struct

SERVICE: Final = "d0025700-9a4b-4c3e-8f1d-6b0e5a7c2d10"
TOKEN: Final = "d0025703-9a4b-4c3e-8f1d-6b0e5a7c2d10"  # noqa: S105 - a UUID
"""Written with response, where a device is told a Wi-Fi network by another service: the session's token."""


class Stream(Struct, frozen=True):
    """`to_device` is written with response, `from_device` notifies; subscribing to it opens the stream."""

    to_device: str
    from_device: str


ACTIVATION: Final = Stream("d0025701-9a4b-4c3e-8f1d-6b0e5a7c2d10", "d0025702-9a4b-4c3e-8f1d-6b0e5a7c2d10")
LINK: Final = Stream("d0025704-9a4b-4c3e-8f1d-6b0e5a7c2d10", "d0025705-9a4b-4c3e-8f1d-6b0e5a7c2d10")
