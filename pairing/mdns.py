"""Browsing for devices and hubs, and announcing them, by multicast DNS (RFC 6762). The only importer of zeroconf.

zeroconf's sockets, cache and responder are used, not its browser: that one remembers every name it ever heard for as
long as the announcer likes, and does not say when somebody was heard again.
"""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

from zeroconf import IPVersion, NotRunningException, RecordUpdate, RecordUpdateListener, Zeroconf
from zeroconf._dns import DNSPointer, DNSQuestion, DNSRecord, DNSService
from zeroconf._protocol.outgoing import DNSOutgoing
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from pairing.announcement import (
    DEVICE_SERVICE,
    DEVICES,
    HUB_SERVICE,
    HUBS,
    A,
    Announcement,
    Gone,
    HubAnnouncement,
    Kind,
    Service,
    device_service,
    hub_service,
    parse_device,
    parse_hub,
)
from pairing.browser import Browser, Told
from pairing.ear import Sources, put_ear
from pairing.interfaces import LOOPBACK, Interfaces, addresses, is_loopback, only_loopback, own_addresses
from pairing.methods.method import MethodFailedError
from pairing.uncancelled import to_the_end

__all__ = [
    "DEVICE_SERVICE",
    "HUB_SERVICE",
    "LOOPBACK",
    "Announcement",
    "Announcer",
    "Browser",
    "Gone",
    "HubAnnouncement",
    "Interfaces",
    "Service",
    "announcing",
    "browse_devices",
    "browse_hubs",
    "device_service",
    "hub_service",
    "own_addresses",
    "parse_device",
    "parse_hub",
]

MAX_ADDRESSES = 8
RESOLVE_TIMEOUT_MS = 3_000
PRUNE_AFTER = 2_000
"""New records after which the cache is pruned: zeroconf's holds 10,000, and then lets go what would expire first, which
are the addresses of those who are there (120 s, RFC 6762, 10), not those of somebody who announces for hours ahead."""

_PTR, _A, _AAAA, _ANY_SIGN = 12, 1, 28, frozenset((12, 16, 33))
_INTERNET = 1
MAX_RECORDS = 32
"""Of one name, the newest: an SRV, a TXT and `MAX_ADDRESSES` addresses are 10, and as many before a change."""


def _created(record: DNSRecord) -> float:
    return record.created


class _Cache:
    """A `Records`: zeroconf's cache, and its questions."""

    def __init__(self, multicast: "Multicast", service: str, *, loopback: bool) -> None:
        self._multicast = multicast
        self._service = service
        self._loopback = loopback

    def have(self, announcer_id: str) -> Told | None:
        info = self._info(announcer_id)
        return self._told(info) if info.load_from_cache(self._multicast.zeroconf) else None

    async def get(self, announcer_id: str) -> Told | None:
        info = self._info(announcer_id)
        came = await info.async_request(self._multicast.zeroconf, RESOLVE_TIMEOUT_MS)
        return self._told(info) if came else None

    def ask(self) -> None:
        question = DNSOutgoing(0)
        # With no known answers beside it, so that those who are there say so.
        question.add_question(DNSQuestion(self._service, _PTR, _INTERNET))
        self._multicast.zeroconf.async_send(question)

    async def refresh(self) -> None:
        await self._multicast.refresh()

    def _info(self, announcer_id: str) -> AsyncServiceInfo:
        return AsyncServiceInfo(self._service, f"{announcer_id}.{self._service}")

    def _told(self, info: AsyncServiceInfo) -> Told:
        found = info.parsed_scoped_addresses(IPVersion.All)
        # Another program's membership lets multicast of the LAN through to a socket that asked for loopback only.
        addresses = tuple(a for a in found if not self._loopback or is_loopback(a))
        return Told(_text(info), addresses[:MAX_ADDRESSES], info.port)


class _Listener(RecordUpdateListener):
    """Tells a browser of the records that have come: once zeroconf's cache has them, so that they can be read."""

    def __init__(self, browser: Browser[Any], kind: Kind[Any], sources: Sources) -> None:
        self._browser = browser
        self._kind = kind
        self._sources = sources
        self._signs: dict[str, bool] = {}
        self._new = 0

    def async_update_records(self, zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        if self._new > PRUNE_AFTER:
            self._new = 0
            self._prune(zc)
        for update in records:
            record, expired = update.new, update.new.is_expired(now)
            self._new += update.old is None
            for announcer_id in self._announcers(zc, record):
                if not expired:
                    self._signs[announcer_id] = self._signs.get(announcer_id, False) or update.old is None
                elif record.type == _PTR:
                    self._signs.pop(announcer_id, None)
                    self._browser.goodbye(announcer_id)

    def async_update_records_complete(self) -> None:
        signs, self._signs = self._signs, {}
        for announcer_id, changed in signs.items():
            self._browser.sign(announcer_id, self._sources.current, changed=changed)

    def _prune(self, zc: Zeroconf) -> None:
        """Take out of the cache what is of nobody whom the browser keeps, and what many say in one's name."""
        cache, kept = zc.cache, {f"{each}.{self._kind.service}".lower() for each in self._browser.kept()}
        said = [record for name in kept for record in cache.async_entries_with_name(name)]
        wanted = kept | {record.server_key for record in said if isinstance(record, DNSService)}
        stale: list[DNSRecord] = []
        for name in cache.names():
            records = list(cache.async_entries_with_name(name))
            if name in wanted:
                stale += sorted(records, key=_created)[:-MAX_RECORDS]
            else:
                stale += (each for each in records if not (isinstance(each, DNSPointer) and each.alias_key in kept))
        cache.async_remove_records(stale)

    def _announcers(self, zc: Zeroconf, record: DNSRecord) -> Iterator[str]:
        if record.type in (_A, _AAAA):
            names = [service.name for service in zc.cache.async_entries_with_server(record.name)]
        elif record.type in _ANY_SIGN:
            names = [record.alias if isinstance(record, DNSPointer) else record.name]
        else:
            return
        yield from filter(None, map(self._kind.id_in, names))


def _text(info: AsyncServiceInfo) -> Mapping[str, str | None]:
    """The TXT record as text; what is no UTF-8 is left out."""
    found: dict[str, str | None] = {}
    for key, value in info.properties.items():
        with suppress(UnicodeDecodeError):
            found[key.decode()] = value.decode() if value is not None else None
    return found


class Multicast:
    """A zeroconf instance that runs, heard through an `Ear`."""

    def __init__(self, running: AsyncZeroconf, interfaces: Interfaces) -> None:
        self.running = running
        self._interfaces = interfaces
        self.sources = Sources()
        self._put_ears()

    @property
    def zeroconf(self) -> Zeroconf:
        return self.running.zeroconf

    async def refresh(self) -> None:
        """Look at the interfaces anew."""
        try:
            await self.running.async_update_interfaces(_chosen(self._interfaces))
        except (OSError, RuntimeError) as error:
            raise _unavailable(error) from error
        self._put_ears()

    def _put_ears(self) -> None:
        for reader in self.zeroconf.engine.readers:
            put_ear(reader.transport, self.sources)


def _unavailable(error: Exception) -> MethodFailedError:
    return MethodFailedError("network_unavailable", reason=type(error).__name__)


def _check_ours(address: str) -> None:
    """Raises OSError for an IPv4 address this machine has not: zeroconf would leave a socket behind."""
    if ":" not in address:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))


def _chosen(interfaces: Interfaces) -> list[str | int]:
    """As zeroconf takes them: IPv4 addresses, and interfaces that have IPv6. Raises OSError where there are none.

    Its own choice of all takes loopback's IPv6, which has no multicast, and every address of an interface beside it.
    """
    if interfaces is not None:
        for address in interfaces:
            _check_ours(address)
        return list(interfaces)
    own = sorted(addresses(), key=lambda each: (each.index, each.address))
    chosen: dict[str | int, None] = {}
    for each in own:
        if ":" not in each.address:
            chosen[each.address] = None
        elif not is_loopback(each.address):
            chosen[each.index] = None
    if not chosen:
        raise OSError(errno.ENETUNREACH, "no interface has an address")
    return list(chosen)


@asynccontextmanager
async def _multicast(interfaces: Interfaces) -> AsyncIterator[Multicast]:
    """An instance of its own for every use: nothing stale in its cache, and nothing left when it is closed."""
    try:
        running = AsyncZeroconf(interfaces=_chosen(interfaces))
    except (OSError, RuntimeError) as error:
        raise _unavailable(error) from error
    # Cancelled in its own start, zeroconf cannot be closed any more: so the start is seen through beside.
    starting = asyncio.create_task(running.zeroconf.async_wait_for_start())
    try:
        try:
            await asyncio.shield(starting)
        except NotRunningException as error:
            raise _unavailable(error) from error
        yield Multicast(running, interfaces)
    finally:
        # Half closed, sockets are left.
        await to_the_end(_close(running, starting))


async def _close(running: AsyncZeroconf, starting: asyncio.Task[None]) -> None:
    await asyncio.gather(starting, return_exceptions=True)
    await running.async_close()


@asynccontextmanager
async def browsing(
    kind: Kind[A],
    interfaces: Interfaces,
    on_sign: Callable[[A, str], None] = lambda heard, source: None,
    on_gone: Callable[[str], None] = lambda announcer_id: None,
) -> AsyncIterator[Browser[A]]:
    """Hear announcers of a kind while the context lasts. Raises MethodFailedError (`network_unavailable`)."""
    async with _multicast(interfaces) as multicast:
        loopback = only_loopback(interfaces)
        browser = Browser(_Cache(multicast, kind.service, loopback=loopback), kind, on_sign=on_sign, on_gone=on_gone)
        listener = _Listener(browser, kind, multicast.sources)
        multicast.zeroconf.async_add_listener(listener, None)
        asking = asyncio.create_task(browser.keep_asking())
        try:
            yield browser
        finally:
            multicast.zeroconf.async_remove_listener(listener)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await browser.stop()


def browse_devices(interfaces: Interfaces = LOOPBACK) -> AbstractAsyncContextManager[Browser[Announcement]]:
    """Hear devices while the context lasts: `async with browse_devices() as browser: async for news in browser`.

    Raises MethodFailedError (`network_unavailable`).
    """
    return browsing(DEVICES, interfaces)


def browse_hubs(interfaces: Interfaces = LOOPBACK) -> AbstractAsyncContextManager[Browser[HubAnnouncement]]:
    """Hear hubs while the context lasts: how a device finds a hub that moved."""
    return browsing(HUBS, interfaces)


class Announcer:
    """A service that is being announced."""

    def __init__(self, multicast: Multicast, interfaces: Interfaces) -> None:
        self._multicast = multicast
        self._zeroconf = multicast.running
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
        """Announce this machine's addresses as they are now, on the interfaces there are now."""
        if self._service is not None:
            await self.announce(self._service)
        # Whoever is on a new interface is told by zeroconf, what has just been said.
        await self._multicast.refresh()


@asynccontextmanager
async def announcing(service: Service, interfaces: Interfaces = LOOPBACK) -> AsyncIterator[Announcer]:
    """Announce the service while the context lasts, and say goodbye after it. Raises MethodFailedError."""
    async with _multicast(interfaces) as multicast:
        announcer = Announcer(multicast, interfaces)
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
        # A scope is this machine's own affair.
        parsed_addresses=[address.partition("%")[0] for address in addresses],
    )
