"""Announcements that are lies: `python -m tests.lan.impostor PRODUCT PORT COUNT ID...`, run on a host.

With COUNT 0 it announces one device, by the library, until standard input ends. Else it sends that many announcements,
each of another name and claiming in turn to be one of the devices, then says `sent`.
"""

import asyncio
import socket
import sys
from collections.abc import Iterator, Sequence

from zeroconf._dns import DNSAddress, DNSPointer, DNSService, DNSText
from zeroconf._protocol.outgoing import DNSOutgoing
from zeroconf.const import (
    _CLASS_IN,
    _CLASS_UNIQUE,
    _FLAGS_AA,
    _FLAGS_QR_RESPONSE,
    _TYPE_A,
    _TYPE_PTR,
    _TYPE_SRV,
    _TYPE_TXT,
)

from pairing.mdns import DEVICE_SERVICE, announcing, device_service

GROUP = ("224.0.0.251", 5353)
AT_ONCE = 100
UNIQUE = _CLASS_IN | _CLASS_UNIQUE
TTL = 4500


async def steal(product: str, port: int, device_id: str) -> None:
    """Announce one device as its own."""
    async with announcing(device_service(device_id, product=product, port=port, paired=False), None):
        print("announced", flush=True)
        await asyncio.to_thread(sys.stdin.read)


def packets(product: str, port: int, count: int, ids: Sequence[str]) -> Iterator[bytes]:
    """Whole announcements, each of a name of its own and at an address of its own."""
    for number in range(count):
        device_id = ids[number % len(ids)]
        name, server = f"{number:x}.{DEVICE_SERVICE}", f"{number:x}.local."
        service = device_service(device_id, product=product, port=port, paired=False)
        text = b"".join(bytes([len(f"{k}={v}")]) + f"{k}={v}".encode() for k, v in service.txt.items())
        address = bytes([192, 168, 77, 2 + number % 250])
        out = DNSOutgoing(_FLAGS_QR_RESPONSE | _FLAGS_AA)
        out.add_answer_at_time(DNSPointer(DEVICE_SERVICE, _TYPE_PTR, _CLASS_IN, TTL, name), 0)
        out.add_answer_at_time(DNSService(name, _TYPE_SRV, UNIQUE, TTL, 0, 0, port, server), 0)
        out.add_answer_at_time(DNSText(name, _TYPE_TXT, UNIQUE, TTL, text), 0)
        out.add_answer_at_time(DNSAddress(server, _TYPE_A, UNIQUE, TTL, address), 0)
        yield from out.packets()


async def flood(product: str, port: int, count: int, ids: Sequence[str]) -> None:
    """Send them all, in bursts that a socket's buffer holds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mouth.bind(("", 5353))
        mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        for number, packet in enumerate(packets(product, port, count, ids)):
            mouth.sendto(packet, GROUP)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0.01)
    print("sent", flush=True)


if __name__ == "__main__":
    product, port, count, *ids = sys.argv[1:]
    asyncio.run(flood(product, int(port), int(count), ids) if int(count) else steal(product, int(port), ids[0]))
