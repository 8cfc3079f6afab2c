"""This machine's interfaces: their addresses, and news of them (rtnetlink(7); elsewhere a look now and then)."""

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeAlias

import ifaddr
from msgspec import Struct

Interfaces: TypeAlias = Sequence[str] | None
"""Addresses of the interfaces to use; None: all there are. (Never a default route: a LAN may have none.)"""

LOOPBACK: tuple[str, ...] = ("127.0.0.1",)

SETTLE = 0.5
"""Seconds of quiet after which a change counts: an interface that comes up has several."""
SETTLE_MOST = 5.0
"""Seconds after which it counts all the same."""
LOOK_EVERY = 15.0
"""Seconds between two looks where nobody tells. Beside news it is the net under what the kernel dropped."""

_LINK, _IPV4_ADDRESS, _IPV6_ADDRESS = 0x1, 0x10, 0x100  # RTMGRP_*
_NEW_LINK, _DEL_LINK, _NEW_ADDRESS, _DEL_ADDRESS = 16, 17, 20, 21  # RTM_*
_RUNNING = 0x40  # IFF_RUNNING: up, and with a carrier
_TENTATIVE = 0x40  # IFA_F_TENTATIVE
_IFA_ADDRESS = 1
_ATTRIBUTE = struct.Struct("=HH")
_HEADER = struct.Struct("=IHHII")
_ADDRESS_BODY = struct.Struct("=2xBxi")
_LINK_BODY = struct.Struct("=BxHiII")
_READ = 65_536


class Address(Struct, frozen=True):
    """An address of an interface. IPv6 ones have no scope here: `index` is it."""

    interface: str
    index: int
    address: str

    @property
    def scoped(self) -> str:
        """As it is connected or bound to: link-local ones need the interface said."""
        ip = ipaddress.ip_address(self.address)
        return f"{self.address}%{self.interface}" if ip.version == 6 and ip.is_link_local else self.address


def addresses() -> frozenset[Address]:
    """All of this machine's."""
    return frozenset(
        Address(str(adapter.name), adapter.index or 0, str(ip.ip if ip.is_IPv4 else ip.ip[0]))
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    )


def is_loopback(address: str) -> bool:
    """Whether it is this machine's own to itself."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def only_loopback(interfaces: Interfaces) -> bool:
    """Whether nothing but this machine is to be reached."""
    return interfaces is not None and all(map(is_loopback, interfaces))


def own_addresses(interfaces: Interfaces) -> list[str]:
    """The addresses to be reached at: those named, or all of this machine's but loopback (which stands in for none)."""
    if interfaces is not None:
        return list(interfaces)
    found = sorted(addresses(), key=lambda own: (own.index, ":" in own.address, own.address))
    return [own.address for own in found if not is_loopback(own.address)] or list(LOOPBACK)


class AddressNews(Struct, frozen=True):
    """An address of an interface has come, or gone. While it is `tentative` (RFC 4862) nothing can be bound to it."""

    index: int
    address: bytes
    gone: bool = False
    tentative: bool = False


class LinkNews(Struct, frozen=True):
    """An interface carries something (`running`), does not, or is there no more (None)."""

    index: int
    running: bool | None


def news_in(data: bytes) -> Iterator[AddressNews | LinkNews]:
    """What a datagram of rtnetlink tells; what is malformed ends it."""
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            return
        if kind in (_NEW_ADDRESS, _DEL_ADDRESS) and length >= _HEADER.size + _ADDRESS_BODY.size:
            flags, index = _ADDRESS_BODY.unpack_from(data, _HEADER.size)
            address = _address_in(data[_HEADER.size + _ADDRESS_BODY.size : length])
            yield AddressNews(index, address, gone=kind == _DEL_ADDRESS, tentative=bool(flags & _TENTATIVE))
        elif kind in (_NEW_LINK, _DEL_LINK) and length >= _HEADER.size + _LINK_BODY.size:
            _, _, index, flags, _ = _LINK_BODY.unpack_from(data, _HEADER.size)
            yield LinkNews(index, bool(flags & _RUNNING) if kind == _NEW_LINK else None)
        data = data[(length + 3) & ~3 :]


def _address_in(attributes: bytes) -> bytes:
    while len(attributes) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _IFA_ADDRESS or length < _ATTRIBUTE.size:
            return attributes[_ATTRIBUTE.size : length]
        attributes = attributes[(length + 3) & ~3 :]
    return b""


class Watch:
    """Watches while its context lasts: `with Watch() as watch: await watch.changed()`."""

    def __init__(self, *, look_every: float = LOOK_EVERY) -> None:
        self._look_every = look_every
        self._known = addresses()
        self._down: set[int] = set()
        self._usable: set[tuple[int, bytes]] = set()
        self._changed = False
        self._gone: set[bytes] = set()
        self._told = asyncio.Event()
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        # No netlink (another system, a sandbox that forbids it): then a look now and then has to do.
        with suppress(OSError, AttributeError):
            self._socket = _netlink()
            asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()

    async def changed(self) -> bool:
        """Wait for an address that has come or gone, or a link that has come back, since the last call; then for quiet.

        True: an address that is there had gone meanwhile, and with it the memberships of sockets at it.
        """
        while True:
            await self._news(self._look_every)
            await self._quiet()
            before, self._known = self._known, addresses()
            back = self._came_back(before)
            changed, self._changed = self._changed, False
            if back or changed or self._known != before:
                return back

    def _came_back(self, before: frozenset[Address]) -> bool:
        gone, self._gone = self._gone | {_packed(each) for each in before - self._known}, set()
        return any(_packed(each) in gone for each in self._known)

    async def _news(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            return False
        self._told.clear()
        return True

    async def _quiet(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_MOST):
                while await self._news(SETTLE):
                    pass

    def _read(self) -> None:
        assert self._socket is not None
        while True:
            try:
                data = self._socket.recv(_READ)
            except BlockingIOError:
                return
            except OSError:  # news were lost (ENOBUFS): a look finds out
                self._told.set()
                return
            for news in news_in(data):
                self._take(news)

    def _take(self, news: AddressNews | LinkNews) -> None:
        match news:
            case AddressNews(index, address, gone=True):
                self._usable.discard((index, address))
                self._gone.add(address)
            case AddressNews(index, address, tentative=True):
                self._usable.discard((index, address))
                return
            case AddressNews(index, address):
                # It is told of again whenever its lifetime is renewed, too: that is no news.
                self._changed |= (index, address) not in self._usable
                self._usable.add((index, address))
            case LinkNews(running=False, index=index):
                self._down.add(index)
                return
            case LinkNews(running=running, index=index):
                self._changed |= index in self._down and running is True
                self._down.discard(index)
        self._told.set()


def _packed(own: Address) -> bytes:
    return ipaddress.ip_address(own.address).packed


def _netlink() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    try:
        opened.bind((0, _LINK | _IPV4_ADDRESS | _IPV6_ADDRESS))
    except OSError:
        opened.close()
        raise
    return opened
