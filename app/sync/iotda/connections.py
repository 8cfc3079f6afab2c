"""Connections to platforms: one for each home that is shown to one, made again whenever it ends."""

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiomqtt
import structlog
from aiomqtt.exceptions import MqttConnectError

from app.errors import DoorstepError
from app.links.iotda.codec import topics
from app.links.iotda.codec.signing import ClientId, password
from app.links.iotda.codec.times import hour_stamp
from app.store.errors import StoreError
from app.store.store import Store
from app.store.tx import Event, Reader
from app.sync.iotda import queries
from app.sync.iotda.conversation import Conversation, Parts
from app.sync.iotda.model import Cause, RightLost, Silent, State, Status, Upstream, Where
from app.sync.iotda.service import Upstreams

KEEP_ALIVE_S: Final = 30
CONNECT_S: Final = 5.0
# Between two tries: any time up to a bound that doubles, so that hubs do not come back all at once.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
# What was read and is not on disk yet; a platform holds back what is not acknowledged, one that does not is hung up on.
MOST_READ: Final = 1_000
# `contact_at` is a courtesy: on disk within this, exact in memory.
KEEP_CONTACT_S: Final = 30.0
# CONNACK, as paho has it for either version of the protocol.
_REFUSALS: Final = {
    132: Cause.CLIENT_ID,
    133: Cause.CLIENT_ID,
    134: Cause.CREDENTIALS,
    135: Cause.FROZEN,
    136: Cause.BUSY,
    137: Cause.BUSY,
    159: Cause.BUSY,
}
# Nobody at the platform's end needs to hear of these again and again.
_PATIENT: Final = frozenset({Cause.CREDENTIALS, Cause.FROZEN, Cause.CLIENT_ID})
_log = structlog.get_logger("doorstep.upstream")


class Connections:
    """`start` connects all homes that have an upstream, and follows those that come and go; `stop` ends it."""

    def __init__(self, store: Store, upstreams: Upstreams) -> None:
        self._store = store
        self._upstreams = upstreams
        self._of_home: dict[str, _Connection] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._contacts = store.later(queries.put_contacts, KEEP_CONTACT_S)
        self._kept: dict[str, int] = {}
        self.batches = 0
        self.failures = 0
        self._parts = Parts(
            store,
            upstreams.devices,
            upstreams.requests,
            upstreams.wishes,
            demand=upstreams.demand_held,
            heard=self._heard,
            batch_sent=self._batch_sent,
        )

    async def start(self) -> None:
        """Returns at once; raises StoreError."""
        self._upstreams.on_changed.append(self._changed)
        self._upstreams.requests.on_due.append(self._due)
        self._store.listen(self._told)
        for home_id in await self._store.read(queries.home_ids):
            self._begin(home_id)

    async def stop(self) -> None:
        """No connection is left."""
        self._upstreams.on_changed.remove(self._changed)
        ending = [*self._ending, *(connection.end() for connection in self._of_home.values())]
        self._of_home.clear()
        await asyncio.gather(*ending, return_exceptions=True)

    def __len__(self) -> int:
        """How many are connected now."""
        return sum(status.state is State.CONNECTED for status in self._upstreams.statuses.values())

    def _begin(self, home_id: str) -> None:
        self._of_home[home_id] = _Connection(home_id, self._store, self._parts, self._upstreams.statuses, self._failed)

    def _changed(self, home_id: str) -> None:
        """It was attached, elsewhere or with another secret, or detached."""
        former = self._of_home.pop(home_id, None)
        if former is not None:
            task = former.end()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        self._begin(home_id)

    def _due(self, home_id: str) -> None:
        if (connection := self._of_home.get(home_id)) is not None:
            connection.woken()

    def _told(self, events: list[Event]) -> None:
        for event in events if self._of_home else ():
            if (connection := self._of_home.get(event.home_id or "")) is not None:
                connection.told(event)

    def _heard(self, home_id: str) -> None:
        now = self._store.clock.now().ms
        self._upstreams.contacts[home_id] = now
        if abs(now - self._kept.get(home_id, 0)) >= KEEP_CONTACT_S * 1000:
            self._kept[home_id] = now
            self._contacts.add((home_id, now))

    def _batch_sent(self) -> None:
        self.batches += 1

    def _failed(self) -> None:
        self.failures += 1


class _Connection:
    """Of one home, as long as it is attached as it is now."""

    def __init__(
        self, home_id: str, store: Store, parts: Parts, statuses: dict[str, Status], failed: Callable[[], None]
    ) -> None:
        self._home_id = home_id
        self._store = store
        self._parts = parts
        self._statuses = statuses
        self._failed = failed
        self._conversation: Conversation | None = None
        self._closing = False
        self._wake = asyncio.Event()
        self._pause_bound = FIRST_PAUSE_S
        self._task = asyncio.create_task(self._run(), name="upstream")

    def end(self) -> "asyncio.Task[None]":
        """The task, which is about to end."""
        # Besides the cancellation, which aiomqtt may lose: it waits by asyncio.wait_for, of before Python 3.12.
        self._closing = True
        self._task.cancel()
        return self._task

    def woken(self) -> None:
        """There may be something to say."""
        if self._conversation is not None:
            self._conversation.woken()

    def told(self, event: Event) -> None:
        """Something happened in the home."""
        if event.kind in ("home", "member"):
            self._wake.set()  # who may do what has perhaps changed
        if self._conversation is not None:
            self._conversation.told(event)

    async def _run(self) -> None:
        try:
            while not self._closing:
                self._wake.clear()
                found = await self._attached()
                if found is None:
                    return
                await self._between(await self._try(*found))
        except StoreError as error:
            _log.error("upstream left", home=self._home_id, code=error.code)
        finally:
            if not self._closing:
                self._statuses.pop(self._home_id, None)

    async def _attached(self) -> tuple[Upstream, bytes] | None:
        return await self._store.read(self._attached_in)

    def _attached_in(self, reader: Reader) -> tuple[Upstream, bytes] | None:
        upstream = queries.upstream(reader, self._home_id)
        secret = self._store.vault.fetch(reader, queries.secret_row(self._home_id))
        return None if upstream is None or secret is None else (upstream, secret)

    async def _between(self, cause: Cause) -> None:
        """After a connection that ended, or was not made."""
        if self._closing:
            return
        self._failed()
        if cause is Cause.RIGHT_LOST:
            self._statuses[self._home_id] = Status(State.PAUSED, cause)
            await self._wake.wait()
            return
        bound = LONGEST_PAUSE_S if cause in _PATIENT else self._pause_bound
        pause = random.uniform(0, bound)  # noqa: S311 - nothing secret
        self._pause_bound = min(self._pause_bound * 2, LONGEST_PAUSE_S)
        at = self._store.clock.now().ms + round(pause * 1000)
        self._statuses[self._home_id] = Status(State.WAITING, cause, at)
        _log.info("upstream not connected", home=self._home_id, cause=cause.value, again_in=round(pause, 1))
        await asyncio.sleep(pause)

    async def _try(self, upstream: Upstream, secret: bytes) -> Cause:
        """One connection, from its beginning to its end; why it ended."""
        try:
            self._parts.demand(upstream)
            former = self._statuses.get(self._home_id)
            self._statuses[self._home_id] = Status(State.CONNECTING, None if former is None else former.cause)
            async with self._connected(upstream, secret) as client:
                await self._converse(upstream, client)
        except RightLost:
            return Cause.RIGHT_LOST
        except Silent:
            return Cause.SILENT
        except StoreError:
            return Cause.STORAGE
        except aiomqtt.MqttError as error:
            status = self._statuses.get(self._home_id)
            return _cause_of(error, was_up=status is not None and status.state is State.CONNECTED)
        except DoorstepError as error:
            _log.warning("upstream failed", home=self._home_id, code=error.code)
        except Exception:
            # Whatever a platform can make go wrong, its connection alone ends with it.
            _log.exception("upstream failed", home=self._home_id)
        return Cause.LOST

    async def _converse(self, upstream: Upstream, client: aiomqtt.Client) -> None:
        await client.subscribe([(pattern, 1) for pattern in topics.implicit(upstream.device_id)])
        if self._closing:
            return
        self._conversation = conversation = Conversation(self._parts, upstream, client)
        self._statuses[self._home_id] = Status(State.CONNECTED)
        _log.info("upstream connected", home=self._home_id, url=upstream.url)
        try:
            await conversation.run()
        finally:
            self._conversation = None
            if conversation.greeted:
                self._pause_bound = FIRST_PAUSE_S

    @asynccontextmanager
    async def _connected(self, upstream: Upstream, secret: bytes) -> AsyncIterator[aiomqtt.Client]:
        where = Where.of(upstream.url)
        tls = await asyncio.to_thread(_tls, upstream.ca) if where.tls else None
        client = self._client(upstream, secret, where, tls)
        entering = asyncio.ensure_future(client.__aenter__())
        try:
            await asyncio.shield(entering)
        except asyncio.CancelledError:
            # It connects in a thread, which goes on: what that opens is closed as well.
            await asyncio.wait({entering}, timeout=CONNECT_S)
            if entering.done() and entering.exception() is None:
                await client.__aexit__(None, None, None)
            raise
        except aiomqtt.MqttError:
            client._client.disconnect()  # aiomqtt leaves open what was not answered
            raise
        try:
            yield client
        finally:
            with contextlib.suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)

    def _client(self, upstream: Upstream, secret: bytes, where: Where, tls: ssl.SSLContext | None) -> aiomqtt.Client:
        now = self._store.clock.now()
        # A hub that does not know the time asks that it be not compared (2.4).
        claimed = ClientId(upstream.device_id, 1 if now.trusted else 0, hour_stamp(now.ms))
        client = aiomqtt.Client(
            hostname=where.host,
            port=where.port,
            identifier=str(claimed),
            username=upstream.device_id,
            password=password(secret, claimed.stamp),
            clean_session=True,
            keepalive=KEEP_ALIVE_S,
            tls_context=tls,
            max_queued_incoming_messages=MOST_READ,
        )
        client._client.connect_timeout = CONNECT_S
        client._client.manual_ack_set(True)
        return client


class _Socket(ssl.SSLSocket):
    """paho leaves a socket open whose handshake failed."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def _tls(ca: str | None) -> ssl.SSLContext:
    """Blocks: it may read the machine's certificates."""
    context = ssl.create_default_context(cadata=ca)
    context.sslsocket_class = _Socket
    return context


def _cause_of(error: aiomqtt.MqttError, *, was_up: bool) -> Cause:
    if isinstance(error, MqttConnectError):
        code = getattr(error.rc, "value", error.rc)
        return _REFUSALS.get(code, Cause.BUSY) if isinstance(code, int) else Cause.BUSY
    if was_up:
        return Cause.LOST
    match error.__context__:
        case ssl.SSLCertVerificationError():
            return Cause.UNTRUSTED
        case ssl.SSLError():
            return Cause.TLS
        case OSError():
            return Cause.UNREACHABLE
    return Cause.SILENT
