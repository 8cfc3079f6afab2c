"""Devices and hubs on the LAN, found and announced by multicast DNS (RFC 6762, 6763). The only importer of zeroconf.

A device announces `_doorstep._tcp.local.`: TXT v=1, id (device id), p (product id), s (0 free, 1 paired), a (pin or
open), n (name), t (where it was given a session's token, pairing/token.py), and in SRV the port it is paired through. A
hub announces `_doorstep-hub._tcp.local.`: TXT v=1, id (hub id), and lp (link port), which SRV repeats. Whatever is
heard is a claim: nothing here proves who announces.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Generic, TypeAlias, TypeVar

import ifaddr
from msgspec import Struct
from zeroconf import InterfaceChoice, IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from pairing.methods.method import MethodFailedError
from pairing.text import clean

DEVICE_SERVICE = "_doorstep._tcp.local."
HUB_SERVICE = "_doorstep-hub._tcp.local."
VERSION = "1"

Interfaces: TypeAlias = Sequence[str] | None
"""Addresses of the interfaces to use; None: all there are. (Never a default route: a LAN may have none.)"""

LOOPBACK: tuple[str, ...] = ("127.0.0.1",)

MAX_HEARD = 64
"""Announcers a browser keeps; further ones are not looked at until one of these is gone."""
MAX_PER_ADDRESS = 16
"""Of these, how many may name the same address (loopback excepted)."""
MAX_ADDRESSES = 8
RESOLVE_TIMEOUT_MS = 3_000
MAX_RESOLVING = 8
UPDATE_INTERVAL = 1.0
"""Seconds between two updates of one announcer: one that changes faster is heard with its latest."""

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


class Browser(Generic[A]):
    """What is heard, in its order: `async for news in browser`. Unread news of an id are replaced by newer ones."""

    def __init__(self, zeroconf: Zeroconf, service: str, parse: Callable[..., A | None], loopback: bool) -> None:
        self._zeroconf = zeroconf
        self._service = service
        self._parse = parse
        self._loopback = loopback
        self._ids: dict[str, str] = {}
        self._heard: dict[str, A] = {}
        self._resolving: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._slots = asyncio.Semaphore(MAX_RESOLVING)
        self._news: dict[str, A | Gone] = {}
        self._some = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[A | Gone]:
        return self

    async def __anext__(self) -> A | Gone:
        while not self._news:
            self._some.clear()
            await self._some.wait()
        return self._news.pop(next(iter(self._news)))

    def changed(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        """zeroconf's handler: a name has appeared, changed or gone."""
        if state_change is ServiceStateChange.Removed:
            self._drop(name)
        elif name in self._resolving:
            self._again.add(name)
        elif len(self._resolving) < MAX_HEARD and (name in self._ids or len(self._ids) < MAX_HEARD):
            task = asyncio.create_task(self._resolve(name))
            self._resolving[name] = task
            task.add_done_callback(lambda _: self._resolved(name))

    def _resolved(self, name: str) -> None:
        del self._resolving[name]

    async def stop(self) -> None:
        tasks = list(self._resolving.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _resolve(self, name: str) -> None:
        while True:
            self._again.discard(name)
            async with self._slots:
                info = AsyncServiceInfo(self._service, name)
                if await info.async_request(self._zeroconf, RESOLVE_TIMEOUT_MS):
                    self._take(name, info)
            await asyncio.sleep(UPDATE_INTERVAL)
            if name not in self._again:
                return

    def _take(self, name: str, info: AsyncServiceInfo) -> None:
        heard = self._parse(_text(info), self._addresses(info), info.port)
        known = self._ids.get(name)
        if heard is None or (known is not None and known != heard.id):
            self._drop(name)
        if heard is None or not self._room(name, heard):
            return
        self._ids[name] = heard.id
        if self._heard.get(heard.id) != heard:
            self._heard[heard.id] = heard
            self._tell(heard.id, heard)

    def _room(self, name: str, heard: A) -> bool:
        """Whether this announcer may be heard: not beyond the limits, nor under an id that another name has taken."""
        if name in self._ids:
            return True
        if heard.id in self._heard or len(self._ids) >= MAX_HEARD:
            return False
        first = heard.addresses[0]
        if _is_loopback(first):
            return True
        return sum(1 for other in self._heard.values() if other.addresses[0] == first) < MAX_PER_ADDRESS

    def _drop(self, name: str) -> None:
        gone = self._ids.pop(name, None)
        if gone is not None:
            del self._heard[gone]
            self._tell(gone, Gone(gone))

    def _tell(self, key: str, news: A | Gone) -> None:
        self._news[key] = news
        self._some.set()

    def _addresses(self, info: AsyncServiceInfo) -> tuple[str, ...]:
        found = info.parsed_scoped_addresses(IPVersion.All)
        # Another program's membership lets multicast of the LAN through to a socket that asked for loopback only.
        return tuple(a for a in found if not self._loopback or _is_loopback(a))[:MAX_ADDRESSES]


def _text(info: AsyncServiceInfo) -> dict[str, str | None]:
    """The TXT record as text; what is no UTF-8 is left out."""
    found: dict[str, str | None] = {}
    for key, value in info.properties.items():
        with suppress(UnicodeDecodeError):
            found[key.decode()] = value.decode() if value is not None else None
    return found


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _only_loopback(interfaces: Interfaces) -> bool:
    return interfaces is not None and all(map(_is_loopback, interfaces))


def _check_ours(address: str) -> None:
    """Raises OSError for an IPv4 address this machine has not: zeroconf would leave a socket behind."""
    if ":" not in address:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))


@asynccontextmanager
async def _zeroconf(interfaces: Interfaces) -> AsyncIterator[AsyncZeroconf]:
    """An instance of its own for every use: nothing stale in its cache, and nothing left when it is closed."""
    chosen = InterfaceChoice.All if interfaces is None else list(interfaces)
    try:
        for address in interfaces or ():
            _check_ours(address)
        zeroconf = AsyncZeroconf(interfaces=chosen, ip_version=IPVersion.All if interfaces is None else None)
    except (OSError, RuntimeError) as error:
        raise MethodFailedError("network_unavailable", reason=type(error).__name__) from error
    # Cancelled in its own start, zeroconf cannot be closed any more: so the start is seen through beside.
    starting = asyncio.create_task(zeroconf.zeroconf.async_wait_for_start())
    try:
        await asyncio.shield(starting)
        yield zeroconf
    finally:
        await asyncio.gather(starting, return_exceptions=True)
        await zeroconf.async_close()


@asynccontextmanager
async def _browse(service: str, parse: Callable[..., A | None], interfaces: Interfaces) -> AsyncIterator[Browser[A]]:
    async with _zeroconf(interfaces) as zeroconf:
        browser = Browser(zeroconf.zeroconf, service, parse, _only_loopback(interfaces))
        asking = AsyncServiceBrowser(zeroconf.zeroconf, service, handlers=[browser.changed])
        try:
            yield browser
        finally:
            await asking.async_cancel()
            await browser.stop()


def browse_devices(interfaces: Interfaces = LOOPBACK) -> AbstractAsyncContextManager[Browser[Announcement]]:
    """Hear devices while the context lasts: `async with browse_devices() as browser: async for news in browser`.

    Raises MethodFailedError (`network_unavailable`).
    """
    return _browse(DEVICE_SERVICE, parse_device, interfaces)


def browse_hubs(interfaces: Interfaces = LOOPBACK) -> AbstractAsyncContextManager[Browser[HubAnnouncement]]:
    """Hear hubs while the context lasts: how a device finds a hub that moved."""
    return _browse(HUB_SERVICE, parse_hub, interfaces)


class Announcer:
    """A service that is being announced."""

    def __init__(self, zeroconf: AsyncZeroconf, interfaces: Interfaces) -> None:
        self._zeroconf = zeroconf
        self._interfaces = interfaces
        self._service: Service | None = None
        self._broadcasts: list[asyncio.Future[Any]] = []

    async def announce(self, service: Service) -> None:
        """Announce this from now on, in place of what was announced before (same type and id)."""
        info = _info(service, own_addresses(self._interfaces))
        if self._service is None:
            # No probing: the name is made of a key's hash, nobody else can have it by accident.
            broadcast = await self._zeroconf.async_register_service(info, cooperating_responders=True)
        else:
            broadcast = await self._zeroconf.async_update_service(info)
        self._service = service
        # The first packet has left; its repetitions go on beside.
        await self._stop_broadcasts()
        self._broadcasts.append(asyncio.ensure_future(broadcast))

    async def _stop_broadcasts(self) -> None:
        for broadcast in self._broadcasts:
            broadcast.cancel()
        await asyncio.gather(*self._broadcasts, return_exceptions=True)
        self._broadcasts.clear()

    async def stop(self) -> None:
        """Repeat nothing any more; the goodbye comes with the end of `announcing`."""
        await self._stop_broadcasts()

    async def refresh(self) -> None:
        """Look at the interfaces anew and announce there: an address has come or gone."""
        await self._zeroconf.async_update_interfaces()
        if self._service is not None:
            await self.announce(self._service)


@asynccontextmanager
async def announcing(service: Service, interfaces: Interfaces = LOOPBACK) -> AsyncIterator[Announcer]:
    """Announce the service while the context lasts, and say goodbye after it. Raises MethodFailedError."""
    async with _zeroconf(interfaces) as zeroconf:
        announcer = Announcer(zeroconf, interfaces)
        try:
            await announcer.announce(service)
            yield announcer
        finally:
            await announcer.stop()


def _info(service: Service, addresses: Sequence[str]) -> AsyncServiceInfo:
    return AsyncServiceInfo(
        service.type,
        f"{service.id}.{service.type}",
        port=service.port,
        properties=service.txt,
        server=f"{service.id}.local.",
        parsed_addresses=list(addresses),
    )


def own_addresses(interfaces: Interfaces) -> list[str]:
    """The addresses to be reached at: those named, or all of this machine's but loopback (which stands in for none)."""
    if interfaces is not None:
        return list(interfaces)
    found = [ip.ip if ip.is_IPv4 else ip.ip[0] for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    return [a for a in map(str, found) if not _is_loopback(a)] or list(LOOPBACK)
