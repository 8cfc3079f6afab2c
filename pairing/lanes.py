"""The ways a hub's words take through the network to a device, and which of them carry, as far as one machine can tell.

A lane is tried by saying something on one interface and hearing it with a second socket. What this machine's own
firewall or another program keeps from it shows so; what the access point keeps from others does not, and is asked for:
`neighbours` tells who else answers.
"""

import asyncio
import fcntl
import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from msgspec import Struct

from pairing.announcement import Service
from pairing.errors import PairingError
from pairing.interfaces import Address, is_loopback
from pairing.mdns import announcing

MDNS_PORT = 5353
MDNS_GROUP, MDNS_GROUP_V6 = "224.0.0.251", "ff02::fb"
BROADCAST_PORT, MULTICAST_PORT = 30_011, 30_012
EZ_GROUP = "226.120.84.89"
"""One of those the multicast lane is made of."""
CHECK_SERVICE = "_doorstep-check._tcp.local."

HEARD_WITHIN = 2.0
TRIES = 4
NEIGHBOURS_WITHIN = 2.0
MAX_NEIGHBOURS = 256

_GET_FLAGS = 0x8913  # SIOCGIFFLAGS
_BROADCAST, _RUNNING = 0x2, 0x40  # IFF_*
_MULTICAST_ALL, _MULTICAST_ALL_V6 = 49, 29  # IP(V6)_MULTICAST_ALL
# Who is there, and what do you offer: RFC 6763, 9.
_WHO_IS_THERE = struct.pack(">HHHHHH", 0, 0, 1, 0, 0, 0) + b"\x09_services\x07_dns-sd\x04_udp\x05local\0\0\x0c\0\x01"


class Lane(StrEnum):
    """What is carried, and how."""

    MDNS_V4 = "mdns-ipv4"
    MDNS_V6 = "mdns-ipv6"
    EZ_BROADCAST = "ez-broadcast"
    EZ_MULTICAST = "ez-multicast"


class Tried(Struct, frozen=True):
    """A lane that was tried on an interface; `reason` says why nothing came back."""

    lane: Lane
    interface: str
    address: str
    heard: bool
    reason: str = ""


def lanes_of(own: Address) -> tuple[Lane, ...]:
    """What can be tried at this address: nothing where its interface carries nothing."""
    flags = _flags(own.interface)
    if not flags & _RUNNING:
        return ()
    if ":" in own.address:
        # Loopback has no IPv6 multicast.
        return () if is_loopback(own.address) else (Lane.MDNS_V6,)
    ez = (Lane.EZ_BROADCAST, Lane.EZ_MULTICAST) if flags & _BROADCAST else (Lane.EZ_MULTICAST,)
    return (Lane.MDNS_V4, *ez)


async def attempt(lane: Lane, own: Address) -> Tried:
    """Say something on the lane, from this address, and listen for it."""
    try:
        reason = await _TRIALS[lane](own)
    except PermissionError:
        reason = "refused"
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
    except PairingError as error:
        reason = error.code
    return Tried(lane, own.interface, own.address, not reason, reason)


async def neighbours(own: Address) -> frozenset[str]:
    """Who else answers on the interface of this IPv4 address, when everybody is asked what they offer."""
    found: set[str] = set()
    loop = asyncio.get_running_loop()
    with _mdns_listener(own) as ear, _speaker(own) as mouth:
        await loop.sock_sendto(mouth, _WHO_IS_THERE, (MDNS_GROUP, MDNS_PORT))
        try:
            async with asyncio.timeout(NEIGHBOURS_WITHIN):
                while len(found) < MAX_NEIGHBOURS:
                    _, source = await loop.sock_recvfrom(ear, 9_000)
                    found.add(source[0])
        except TimeoutError:
            pass
    return frozenset(found - {own.address})


async def _mdns(own: Address) -> str:
    mark = f"c-{secrets.token_hex(6)}"
    check = Service(type=CHECK_SERVICE, id=mark, port=9, txt={"v": "1"})
    with _mdns_listener(own) as ear:
        async with announcing(check, (own.scoped,)):
            return await _hears(ear, mark.encode())


async def _broadcast(own: Address) -> str:
    with _udp(socket.AF_INET) as ear, _speaker(own) as mouth:
        ear.bind(("", BROADCAST_PORT))
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        return await _echo(mouth, ("255.255.255.255", BROADCAST_PORT), ear)


async def _multicast(own: Address) -> str:
    with _listener(own, EZ_GROUP, MULTICAST_PORT) as ear, _speaker(own) as mouth:
        return await _echo(mouth, (EZ_GROUP, MULTICAST_PORT), ear)


_TRIALS = {
    Lane.MDNS_V4: _mdns,
    Lane.MDNS_V6: _mdns,
    Lane.EZ_BROADCAST: _broadcast,
    Lane.EZ_MULTICAST: _multicast,
}


async def _echo(mouth: socket.socket, to: tuple[str, int], ear: socket.socket) -> str:
    mark = b"doorstep " + secrets.token_bytes(8)

    async def speak() -> None:
        for _ in range(TRIES):
            await asyncio.get_running_loop().sock_sendto(mouth, mark, to)
            await asyncio.sleep(HEARD_WITHIN / (2 * TRIES))

    speaking = asyncio.create_task(speak())
    try:
        reason = await _hears(ear, mark)
    finally:
        speaking.cancel()
        outcome = (await asyncio.gather(speaking, return_exceptions=True))[0]
    if reason and isinstance(outcome, OSError):
        raise outcome
    return reason


async def _hears(ear: socket.socket, mark: bytes) -> str:
    """ "" once `mark` has been heard, or why not."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(HEARD_WITHIN):
            while mark not in (await loop.sock_recvfrom(ear, 9_000))[0]:
                pass
    except TimeoutError:
        return "not heard back"
    return ""


@contextmanager
def _udp(family: int) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_DGRAM) as opened:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        yield opened


@contextmanager
def _speaker(own: Address) -> Iterator[socket.socket]:
    """A socket that sends through the interface of an IPv4 address, whatever the routes say: there may be none."""
    with _udp(socket.AF_INET) as mouth:
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, own.interface.encode())
        mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own.address))
        mouth.bind((own.address, 0))
        yield mouth


@contextmanager
def _listener(own: Address, group: str, port: int) -> Iterator[socket.socket]:
    """A socket that hears the group on the interface of this address, and on no other."""
    with _udp(socket.AF_INET) as ear:
        ear.setsockopt(socket.IPPROTO_IP, _MULTICAST_ALL, 0)
        ear.bind(("", port))
        membership = socket.inet_aton(group) + socket.inet_aton(own.address)
        ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        yield ear


@contextmanager
def _mdns_listener(own: Address) -> Iterator[socket.socket]:
    if ":" not in own.address:
        with _listener(own, MDNS_GROUP, MDNS_PORT) as ear:
            yield ear
        return
    with _udp(socket.AF_INET6) as ear:
        ear.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        ear.setsockopt(socket.IPPROTO_IPV6, _MULTICAST_ALL_V6, 0)
        ear.bind(("::", MDNS_PORT))
        membership = socket.inet_pton(socket.AF_INET6, MDNS_GROUP_V6) + struct.pack("@I", own.index)
        ear.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
        yield ear


def _flags(interface: str) -> int:
    """The interface's flags; 0 where it has gone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack("16sH22x", interface.encode()[:15], 0))
        except OSError:
            return 0
    flags: int = struct.unpack_from("H", answer, 16)[0]
    return flags
