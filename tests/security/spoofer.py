"""Somebody on the LAN who announces devices that are not there, and devices that are not his: mDNS, crafted."""

import struct
from collections.abc import Iterator
from random import Random

from pairing.announcement import DEVICE_SERVICE, device_service
from pairing.ear import Ear
from tests.pairing.test_mdns import an_id

FALSE = "False lamp "
"""What every name begins with."""

_PTR, _TXT, _A, _SRV = 12, 16, 1, 33
_FLUSH = 0x8001


def _name(dotted: str) -> bytes:
    labels = dotted.removesuffix(".").split(".")
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def _record(name: str, kind: int, of: int, data: bytes, lasts: int = 4500) -> bytes:
    return _name(name) + struct.pack(">HHIH", kind, of, lasts, len(data)) + data


def response(device_id: str, *, address: str, port: int, name: str = "Lamp") -> bytes:
    """A whole announcement of a free device: PTR, SRV, TXT and A."""
    service = device_service(device_id, product="lamp", port=port, paired=False, auth="pin", name=name)
    instance, host = f"{device_id}.{DEVICE_SERVICE}", f"{device_id}.local."
    text = b"".join(bytes([len(line)]) + line for line in (f"{k}={v}".encode() for k, v in service.txt.items()))
    return struct.pack(">HHHHHH", 0, 0x8400, 0, 4, 0, 0) + b"".join(
        (
            _record(DEVICE_SERVICE, _PTR, 1, _name(instance)),
            _record(instance, _SRV, _FLUSH, struct.pack(">HHH", 0, 0, port) + _name(host)),
            _record(instance, _TXT, _FLUSH, text),
            _record(host, _A, _FLUSH, bytes(map(int, address.split(".")))),
        )
    )


def goodbye(device_id: str) -> bytes:
    """That somebody leaves, said by whomever."""
    instance = _name(f"{device_id}.{DEVICE_SERVICE}")
    return struct.pack(">HHHHHH", 0, 0x8400, 0, 1, 0, 0) + _record(DEVICE_SERVICE, _PTR, 1, instance, lasts=0)


def claims(count: int, known: list[str], seed: int = 1) -> Iterator[bytes]:
    """Announcements of unknown devices and, every fifth, of one of `known`, each time from somewhere else."""
    chance = Random(seed)
    for number in range(count):
        device_id = chance.choice(known) if number % 5 == 0 else an_id((1 << 50) + number)
        yield response(device_id, address=f"127.{number % 200}.0.66", port=1 + number % 60_000, name=f"{FALSE}{number}")


def shout(ear: Ear, data: bytes, source: str) -> None:
    """Have `data` arrive as a datagram from `source`."""
    ear.datagram_received(data, (source, 5353))
