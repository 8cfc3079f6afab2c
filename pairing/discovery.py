"""Discovery that lasts: one ear for all who look for devices, through every change of this machine's network."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, Self, TypeVar

from pairing.announcement import DEVICES, Announcement, Gone, Service
from pairing.browser import Browser
from pairing.interfaces import LOOPBACK, Interfaces, Watch, only_loopback
from pairing.mdns import announcing, browsing
from pairing.methods.method import MethodFailedError
from pairing.news import News

FRESH = 5.0
"""Seconds for which a sign of life is good enough for somebody who begins to listen; older ones are asked for anew."""
MAX_LISTENERS = 256
RETRY = 30.0
"""Seconds to the next try where the network cannot be used, though no address changes."""


class Lasting(Protocol):
    """What is open on the network, and has to follow it."""

    async def refresh(self) -> None:
        """Be on the interfaces there are now."""
        ...


L = TypeVar("L", bound=Lasting)


class _Listener:
    """One who listens, and what he was told."""

    def __init__(self) -> None:
        self.news = News[Announcement]()
        self._told: dict[str, Announcement] = {}

    def heard(self, announcement: Announcement) -> None:
        if self._told.get(announcement.id) != announcement:
            self._told[announcement.id] = announcement
            self.news.tell(announcement)

    def gone(self, device_id: str) -> None:
        if self._told.pop(device_id, None) is not None:
            self.news.tell(Gone(device_id))


class Discovery:
    """Hears devices while its context lasts, on `interfaces`, whether or not there is a network to begin with.

    `on_heard` is told of every sign of life of a device, and the address it came from; `on_gone` of goodbyes.
    """

    def __init__(
        self,
        interfaces: Interfaces = LOOPBACK,
        *,
        on_heard: Callable[[Announcement, str], None] = lambda heard, source: None,
        on_gone: Callable[[str], None] = lambda device_id: None,
    ) -> None:
        self._interfaces = interfaces
        self._on_heard = on_heard
        self._on_gone = on_gone
        self._listeners: set[_Listener] = set()
        self._signs: dict[str, tuple[Announcement, float]] = {}
        self._browser: Browser[Announcement] | None = None
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin; returns once it is known whether there is a network."""
        self._task = asyncio.create_task(self._run(), name="discovery")
        self._task.add_done_callback(lambda _: self._tried.set())
        try:
            await self._tried.wait()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    @property
    def listening(self) -> bool:
        """Whether there is a network now."""
        return self._browser is not None

    @property
    def listeners(self) -> int:
        """How many look for devices now."""
        return len(self._listeners)

    def browse(self) -> AbstractAsyncContextManager[AsyncIterator[Announcement | Gone]]:
        """A `Browse`: what is known to be there and then what is new, while the context lasts.

        Raises MethodFailedError (`network_unavailable`).
        """
        return self._listen()

    @asynccontextmanager
    async def _listen(self) -> AsyncIterator[AsyncIterator[Announcement | Gone]]:
        if self._browser is None:
            raise MethodFailedError("network_unavailable", reason="no_interface")
        if len(self._listeners) >= MAX_LISTENERS:
            raise MethodFailedError("network_unavailable", reason="too_many_listeners")
        listener = _Listener()
        long_ago = asyncio.get_running_loop().time() - FRESH
        for announcement, at in self._signs.values():
            if at >= long_ago:
                listener.heard(announcement)
        self._listeners.add(listener)
        self._browser.ask()
        try:
            yield listener.news
        finally:
            self._listeners.discard(listener)

    async def _run(self) -> None:
        await _keep(
            lambda: browsing(DEVICES, self._interfaces, self._heard, self._gone), self._opened, self._interfaces
        )

    def _opened(self, browser: Browser[Announcement] | None) -> None:
        self._browser = browser
        # Whoever is still there says so again.
        self._signs.clear()
        self._tried.set()

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _heard(self, announcement: Announcement, source: str) -> None:
        self._signs[announcement.id] = (announcement, asyncio.get_running_loop().time())
        self._on_heard(announcement, source)
        for listener in self._listeners:
            listener.heard(announcement)

    def _gone(self, device_id: str) -> None:
        self._signs.pop(device_id, None)
        self._on_gone(device_id)
        for listener in self._listeners:
            listener.gone(device_id)


@asynccontextmanager
async def keep_announcing(service: Service, interfaces: Interfaces = LOOPBACK) -> AsyncIterator[None]:
    """Announce `service` while the context lasts, as soon as there is a network, wherever it has an address then."""
    tried = asyncio.Event()
    task = asyncio.create_task(
        _keep(lambda: announcing(service, interfaces), lambda announcer: tried.set(), interfaces), name="announcing"
    )
    task.add_done_callback(lambda _: tried.set())
    try:
        await tried.wait()
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep(
    open_: Callable[[], AbstractAsyncContextManager[L]], opened: Callable[[L | None], None], interfaces: Interfaces
) -> None:
    """Keep it open through every change of the network. `opened` is told what is open now, or that nothing is."""
    with Watch() as watch:
        while True:
            try:
                async with open_() as one:
                    opened(one)
                    await _follow(watch, one, interfaces)
            except MethodFailedError:
                opened(None)
                await _change(watch)


async def _follow(watch: Watch, one: Lasting, interfaces: Interfaces) -> None:
    """Refresh it, until sockets have lost their memberships without noticing: they must be opened anew."""
    if only_loopback(interfaces):
        await asyncio.Event().wait()  # whatever else changes
    while not await watch.changed():
        await one.refresh()


async def _change(watch: Watch) -> None:
    try:
        async with asyncio.timeout(RETRY):
            await watch.changed()
    except TimeoutError:
        return
