"""Browsing: zeroconf's cache, pruned of what nobody here asked for, and its news, given to a `Browser`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

from zeroconf import IPVersion, RecordUpdate, RecordUpdateListener, Zeroconf
from zeroconf._dns import DNSPointer, DNSQuestion, DNSRecord, DNSService
from zeroconf._protocol.outgoing import DNSOutgoing
from zeroconf.asyncio import AsyncServiceInfo

from pairing.announcement import DEVICES, HUBS, A, Announcement, HubAnnouncement, Kind
from pairing.browser import Browser, Told
from pairing.ear import Sources
from pairing.interfaces import LOOPBACK, Interfaces, is_loopback, only_loopback
from pairing.mdns.multicast import Multicast, on_multicast

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

    def __init__(self, multicast: Multicast, service: str, *, loopback: bool) -> None:
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


@asynccontextmanager
async def browsing(
    kind: Kind[A],
    interfaces: Interfaces,
    on_sign: Callable[[A, str], None] = lambda heard, source: None,
    on_gone: Callable[[str], None] = lambda announcer_id: None,
) -> AsyncIterator[Browser[A]]:
    """Hear announcers of a kind while the context lasts. Raises MethodFailedError (`network_unavailable`)."""
    async with on_multicast(interfaces) as multicast:
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
