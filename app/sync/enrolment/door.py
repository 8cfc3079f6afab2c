"""The hub's door to its cloud: a session that is renewed by itself, requests, and WebSockets."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Final

import httpx2
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from app.client import why
from app.clock import Time, to_time
from app.connections import DEFLATE, WINDOW_BITS
from app.errors import Conflict
from app.policy import SYSTEM
from app.store.hub import read_hub
from app.store.store import Store
from app.store.tx import Reader
from app.sync.enrolment import wire
from app.sync.enrolment.connecting import (
    ANSWER_S,
    CONNECT_S,
    MAX_ANSWER,
    CloudUnreachable,
    Connector,
    Line,
    TokenOver,
    decoded,
    refusal,
)
from app.sync.enrolment.joined import KEY_ROW, Cloud, CloudState, JoinedCloud
from app.sync.enrolment.model import Revoked, Superseded

# A token is renewed so long before its end.
MARGIN_S: Final = 120.0
CLOSE_S: Final = 5.0
_DEFLATE: Final = ClientPerMessageDeflateFactory(
    server_max_window_bits=WINDOW_BITS, client_max_window_bits=WINDOW_BITS, compress_settings=DEFLATE
)
_log = structlog.get_logger("doorstep.cloud")


class NotEnrolled(Conflict):
    """This hub has no cloud that has taken it in."""

    code = "not_enrolled"
    hint = "Make a code at the cloud, and `doorstep cloud join` it here."


class CloudSession(Struct, frozen=True):
    """What opens the cloud now. `ssl` None: without TLS. `until` in seconds of the event loop's clock."""

    url: str
    ssl: ssl.SSLContext | None
    token: str
    until: float


class _Proof(Struct, frozen=True):
    key: bytes
    hub_id: str
    node: str
    incarnation: int


class CloudDoor:
    """For who speaks with the cloud. `on_enrolled` is told once it has taken this hub in, `on_left` once that is over.

    Neither is told of what was so at the start: ask `cloud_id` then.
    """

    def __init__(self, store: Store, joined: JoinedCloud, connector: Connector) -> None:
        self._store = store
        self._joined = joined
        self._connector = connector
        self.on_enrolled: list[Callable[[], None]] = []
        self.on_left: list[Callable[[], None]] = []
        self.open_sockets = 0
        self.contact_at: Time | None = None
        self._proving = asyncio.Lock()
        self._dialling = asyncio.Lock()
        self._line: Line | None = None
        self._session: CloudSession | None = None
        self._closing: set[asyncio.Task[None]] = set()
        joined.on_changed.append(self._changed)

    @property
    def cloud_id(self) -> str | None:
        """The cloud that has taken this hub in; None: none, or not yet, or no more."""
        cloud = self._joined.enrolled
        return None if cloud is None else cloud.id

    async def session(self) -> CloudSession:
        """What opens the cloud, proved anew when it is near its end.

        Raises NotEnrolled, CloudUnreachable, CloudRefused, Revoked, Superseded.
        """
        async with self._proving:
            cloud = self._demand()
            if self._session is None or self._session.until <= asyncio.get_running_loop().time():
                self._session = None
                self._session = await self._prove(cloud)
            return self._session

    async def post(self, path: str, body: bytes, *, answer_s: float = ANSWER_S) -> bytes:
        """Ask the cloud below /sync/, in MessagePack; raises as `session`."""
        session = await self.session()
        try:
            return await self._post(session, path, body, answer_s)
        except TokenOver:
            self._forget(session)
        return await self._post(await self.session(), path, body, answer_s)

    async def _post(self, session: CloudSession, path: str, body: bytes, answer_s: float) -> bytes:
        async with self._asking():
            line = await self._lined(self._demand())
            return await line.post(path, body, token=session.token, answer_s=answer_s)

    @contextlib.asynccontextmanager
    async def websocket(self, path: str) -> AsyncIterator[ClientConnection]:
        """A WebSocket to the cloud, closed at the end; raises as `session`, and websockets' own once it is open."""
        try:
            socket = await self._dialled(await self.session(), path)
        except TokenOver:
            socket = await self._dialled(await self.session(), path)
        self._heard()
        self.open_sockets += 1
        try:
            yield socket
        finally:
            self.open_sockets -= 1
            await socket.close()

    async def _dialled(self, session: CloudSession, path: str) -> ClientConnection:
        url = session.url.replace("http", "ws", 1) + path
        try:
            return await connect(
                url,
                ssl=session.ssl,
                additional_headers={"Authorization": f"Bearer {session.token}"},
                max_size=MAX_ANSWER,
                compression=None,
                extensions=[_DEFLATE],
                open_timeout=CONNECT_S,
                close_timeout=CLOSE_S,
                proxy=None,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            if status in (401, 403):  # before it is accepted, a WebSocket is refused in no other words
                self._forget(session)
                raise TokenOver(status, {}) from error
            raise refusal(status, b"") from error
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException) as error:
            self._drop_line()
            raise CloudUnreachable(f"{session.url} does not answer: {why(error)}") from error

    async def close(self) -> None:
        """End the line."""
        self._drop_line()
        if self._closing:
            await asyncio.wait(self._closing)

    # proving

    async def _prove(self, cloud: Cloud) -> CloudSession:
        async with self._asking():
            proof = await self._store.read(self._proof)
            line = await self._lined(cloud)
            challenge = decoded(await line.post("/sync/challenges", b""), wire.Challenge)
            said = await asyncio.to_thread(_signed, cloud.id, proof, challenge.nonce)
            opened = decoded(await line.post("/sync/sessions", wire.encode(said)), wire.Opened)
        until = asyncio.get_running_loop().time() + max(opened.expires_in - MARGIN_S, opened.expires_in / 2)
        return CloudSession(cloud.url, line.ssl, opened.token, until)

    def _proof(self, reader: Reader) -> _Proof:
        hub, key = read_hub(reader), self._store.vault.fetch(reader, KEY_ROW)
        if key is None:
            raise NotEnrolled
        return _Proof(key, hub.hub_id or "", hub.node_id, hub.incarnation)

    def _demand(self) -> Cloud:
        cloud = self._joined.current
        if cloud is not None and cloud.state is CloudState.REVOKED:
            raise Revoked
        if cloud is not None and cloud.state is CloudState.SUPERSEDED:
            raise Superseded
        if cloud is None or cloud.state is not CloudState.ENROLLED:
            raise NotEnrolled
        return cloud

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """What comes of asking the cloud: it was heard, or missed, or says that it is over."""
        try:
            yield
        except CloudUnreachable as error:
            self._missed(error)
            raise
        except (Revoked, Superseded) as error:
            await self._ended(error)
            raise
        self._heard()

    async def _ended(self, error: Revoked | Superseded) -> None:
        """The cloud says that it is over; that is kept, and asked no more."""
        state = CloudState.SUPERSEDED if isinstance(error, Superseded) else CloudState.REVOKED
        _log.warning("the cloud has ended this hub's enrolment", state=state.value)
        await self._store.write(lambda tx: self._joined.end_in(tx, SYSTEM, state))

    # the line

    async def _lined(self, cloud: Cloud) -> Line:
        async with self._dialling:
            if self._line is None:
                self._line = await self._connector.open(cloud.url, cloud.pin)
            return self._line

    def _missed(self, error: CloudUnreachable) -> None:
        """Where no connection came about, the cloud may have another certificate, under the same key, by now."""
        if isinstance(error.__cause__, httpx2.ConnectError):
            self._drop_line()

    def _drop_line(self) -> None:
        """It is made anew, and compared with the pin, when it is needed."""
        line, self._line, self._session = self._line, None, None
        if line is not None:
            task = asyncio.create_task(line.http.aclose(), name="cloud-line-close")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _forget(self, session: CloudSession) -> None:
        if self._session is session:
            self._session = None

    def _heard(self) -> None:
        self.contact_at = to_time(self._store.clock.now().ms)

    def _changed(self, old: Cloud | None, new: Cloud | None) -> None:
        self._drop_line()
        was, now = (cloud is not None and cloud.state is CloudState.ENROLLED for cloud in (old, new))
        if was != now:
            for told in self.on_enrolled if now else self.on_left:
                told()


def _signed(cloud_id: str, proof: _Proof, nonce: bytes) -> wire.Prove:
    text = wire.session_text(cloud_id, proof.hub_id, proof.node, proof.incarnation, nonce)
    signature = Ed25519PrivateKey.from_private_bytes(proof.key).sign(text)
    return wire.Prove(proof.hub_id, proof.node, proof.incarnation, nonce, signature)
