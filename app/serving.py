"""Answers the network: a bound socket, TLS, uvicorn on uvloop, and an orderly end on SIGTERM or Ctrl-C."""

import asyncio
import contextlib
import errno
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import structlog
import uvicorn
import uvloop
from msgspec import Struct

from app import systemd, tls
from app.connections import Stream, bounded
from app.errors import Unavailable
from app.settings import Settings
from app.turn import ShortWay

BACKLOG: Final = 512
# What consumers say are acknowledgements of a hundred octets.
MAX_WEBSOCKET_MESSAGE: Final = 4_096
# What hubs say to their cloud is a page of a home.
MAX_HUB_MESSAGE: Final = 16 * 1024 * 1024
FLUSH_SECONDS: Final = 0.5
log = structlog.stdlib.get_logger("doorstep.serving")


class AddressUnusable(Unavailable):
    """The address cannot be listened on."""

    code = "address_unusable"


class Endpoint(Struct, frozen=True):
    """Where a hub is reached: from the network, and from this machine. `certificate` is None without TLS."""

    url: str
    local_url: str
    host: str
    port: int
    certificate: tls.Certificate | None


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: it would end the process before the store is closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `stop_requested`."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End as uvicorn does, but do not wait for idle clients."""
        letting_go = asyncio.create_task(self._let_go())
        try:
            await super().shutdown(sockets)
        finally:
            letting_go.cancel()

    async def _let_go(self) -> None:
        """A TLS client that is not reading never answers our goodbye: once its requests are answered, hang up."""
        while self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks)
        await asyncio.sleep(FLUSH_SECONDS)
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class Serving:
    """One ASGI application on one address: `open` binds and answers, `close` finishes what is in progress."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server: _Server
        self._running: asyncio.Task[None]
        self._renewing: asyncio.Task[None] | None = None

    async def open(self, app: Any, short: ShortWay | None = None) -> Endpoint:
        """Answer with `app` (ASGI), or what `short` takes with that. Raises AddressUnusable or TlsError."""
        settings = self._settings
        bound = _bind(settings.host, settings.port)
        try:
            certificate = await self._certificate() if settings.tls else None
            self._server = _Server(self._config(app, short, certificate))
            self._running = asyncio.create_task(self._server.serve([bound]))
            await self._started()
        except BaseException:
            bound.close()
            raise
        if certificate is not None and (context := self._server.config.ssl) is not None:
            self._renewing = asyncio.create_task(tls.keep_renewed(context, certificate, self._certificate))
        host, port = bound.getsockname()[:2]
        scheme = "https" if certificate else "http"
        url, local_url = (f"{scheme}://{name}:{port}" for name in _reachable(host))
        return Endpoint(url, local_url, host, port, certificate)

    async def close(self) -> None:
        """Stop accepting, let requests finish for `shutdown_grace` seconds, then end them."""
        if self._renewing is not None:
            self._renewing.cancel()
        self._server.should_exit = True
        await self._running

    def _config(self, app: Any, short: ShortWay | None, certificate: tls.Certificate | None) -> uvicorn.Config:
        config = uvicorn.Config(
            app,
            http=bounded(self._settings.limits, short),
            ws=Stream,
            ws_max_size=MAX_HUB_MESSAGE if self._settings.role == "cloud" else MAX_WEBSOCKET_MESSAGE,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # a hub stands in no proxy's shadow: limits must see the real address
            backlog=BACKLOG,
            timeout_graceful_shutdown=max(1, round(self._settings.shutdown_grace)),
            ssl_certfile=certificate.file if certificate else None,
            ssl_keyfile=certificate.key_file if certificate else None,
        )
        config.load()
        if config.ssl is not None:
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        return config

    async def _started(self) -> None:
        while not self._server.started:  # uvicorn offers a flag, and no event
            if self._running.done():
                await self._running
                raise AddressUnusable("The server ended while it started; the log says why.")
            await asyncio.sleep(0.01)

    async def _certificate(self) -> tls.Certificate:
        settings = self._settings
        names = tls.local_names(settings.host, settings.tls_names)
        return await asyncio.to_thread(tls.ensure, settings.data, names, datetime.now(UTC))


async def stop_requested() -> None:
    """Return when somebody wants this process to end (SIGTERM, SIGINT). A second signal ends it at once."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def ask(number: signal.Signals) -> None:
        log.info("stopping", signal=number.name)
        asked.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask, number)
    await asked.wait()
    systemd.notify("STOPPING=1")


def run(main: Callable[[], Any]) -> None:
    """Run the coroutine function `main` on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressUnusable(f"Port {port} on {host} is in use; choose another with --port (0: any).") from error
        raise AddressUnusable(f"Cannot listen on {host} port {port}: {error.strerror or error}") from error
    # Connections inherit it. asyncio's own loop, unlike uvloop, leaves it unset on a socket it did not make itself: an
    # answer's body would wait 40 ms for its head to be acknowledged.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def _reachable(host: str) -> tuple[str, str]:
    """The bound address as another machine writes it, and as this one does."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return _bracketed(next(iter(tls.local_names(host)))), _bracketed("127.0.0.1" if host == "0.0.0.0" else "::1")  # noqa: S104
    return _bracketed(host), _bracketed(host)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
