"""The stream of messages over a WebSocket, as the official Python client consumes it (specs/tuya/notes.md, 10).

One consumer of a subscription is told, the others wait for it to go (Failover). What is not acknowledged in time is
sent again; the next consumer goes on from where everything was acknowledged.
"""

import asyncio
import base64
import contextlib
import hmac
from typing import Any, Final

import msgspec
import structlog
from litestar.types import Receive, Scope, Send
from msgspec import Struct

from app.accounts.credentials import Credentials
from app.clock import to_time
from app.devices.memory import Memory
from app.devices.product.catalogue import Catalogue
from app.dialects.tuya import queries
from app.dialects.tuya.key_secrets import KeySecrets
from app.dialects.tuya.messages import password_of, payload_of, told
from app.dialects.tuya.subscription import Subscription
from app.events import queries as event_queries
from app.events.bus import Bus, Listener
from app.policy import Actor
from app.store.store import Store
from app.store.tx import Event

TOPICS: Final = frozenset({"event", "event-test"})
PAGE: Final = 100
ACK_S: Final = 3.0
LEAST_ACK_S: Final = 1.0
MOST_ACK_S: Final = 60.0
# An acknowledgement is on disk within it; what is lost with it is told again.
KEEP_S: Final = 0.5
MAX_WAITING: Final = 8
MAX_FRAME: Final = 4_096
UNAUTHORIZED: Final = 1008
_log = structlog.get_logger("doorstep.tuya")


class Acknowledgement(Struct):
    """What a consumer says."""

    messageId: str  # noqa: N815 - theirs
    type: str = ""


class Consuming:
    """Serves consumers; `bus` says what there is to tell and who may know it."""

    def __init__(
        self,
        store: Store,
        *,
        credentials: Credentials,
        secrets: KeySecrets,
        bus: Bus,
        memory: Memory,
        catalogue: Catalogue,
    ) -> None:
        self._store = store
        self._credentials = credentials
        self._secrets = secrets
        self._bus = bus
        self._memory = memory
        self._catalogue = catalogue
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}
        self._waiting: dict[tuple[str, str], int] = {}
        # Subscriptions whose consumer has begun: it misses nothing of what happens from then on.
        self.telling: set[tuple[str, str]] = set()
        self._kept = store.later(queries.put_places, KEEP_S)

    @property
    def consumers(self) -> int:
        """How many are connected, those that wait for their turn among them."""
        return sum(self._waiting.values())

    async def serve(self, scope: Scope, receive: Receive, send: Send, ack_s: float) -> None:
        """ASGI, of a consumer that may open this stream; `ack_s` is how long it has to acknowledge."""
        await receive()  # websocket.connect
        topic = (scope["path_params"]["access_id"], scope["path_params"]["topic"])
        admitted = await self._admitted(scope, topic)
        if admitted is None or self._waiting.get(topic, 0) >= MAX_WAITING:
            await send({"type": "websocket.close", "code": UNAUTHORIZED, "reason": ""})
            return
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        self._waiting[topic] = self._waiting.get(topic, 0) + 1
        try:
            await _Consumer(self, topic, admitted, ack_s).run(receive, send)
        finally:
            self._waiting[topic] -= 1
            if not self._waiting[topic]:
                del self._waiting[topic]
                self._turns.pop(topic, None)

    async def _admitted(self, scope: Scope, topic: tuple[str, str]) -> str | None:
        """The secret of the key that opens the stream; None: nothing does."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        found = await self._secrets.of(topic[0])
        if found is None or topic[1] not in TOPICS or self.actor(topic[0]) is None:
            return None
        wanted = password_of(topic[0], found[1])
        given = headers.get(b"password", "")
        same = hmac.compare_digest(given.encode(), wanted.encode())
        return found[1] if same and headers.get(b"username") == topic[0] else None

    def actor(self, key_id: str) -> Actor | None:
        """Whom a key stands for now."""
        return self._credentials.holder_of(key_id, self._store.clock.now())

    def turn(self, topic: tuple[str, str]) -> asyncio.Lock:
        """Who holds it is the subscription's consumer."""
        return self._turns.setdefault(topic, asyncio.Lock())

    async def begin(self, topic: tuple[str, str]) -> Subscription:
        """Where its last consumer stopped; a new one, or one of before a restore, begins now."""
        await self._kept.flush()
        kept = await self._store.read(lambda r: (queries.place(r, *topic), event_queries.kept(r)))
        here = self._bus.here
        (found, on_disk) = kept
        if found is None or found[0] != here.incarnation:
            subscription = Subscription(here.seq)
            self.keep(topic, subscription)
            return subscription
        return Subscription(max(found[1], on_disk.before))

    def keep(self, topic: tuple[str, str], subscription: Subscription) -> None:
        """Have its place written soon."""
        self._kept.add((*topic, self._bus.here.incarnation, subscription.place))

    async def page(self, after: int) -> list[Event]:
        """What happened next."""
        return await self._store.read(lambda r: event_queries.after(r, after, PAGE))

    def join(self, actor: Actor) -> Listener:
        """To be woken as things happen; raises TooManyStreams."""
        return self._bus.join(actor)

    def leave(self, listener: Listener) -> None:
        """The end of that."""
        self._bus.leave(listener)

    def message(self, listener: Listener, event: Event, secret: str) -> bytes | None:
        """The frame that tells of an event, if the listener may know of it and there is one for it."""
        now = self._store.clock.now()
        if self._bus.frame_for(listener, self._bus.told(event), now, replayed=True) is None:
            return None
        live = self._memory.get(event.device_id or "")
        product = None if live is None else self._catalogue.get(live.device.product_id)
        said = told(event, product, listener.actor.account_id or "")
        if said is None:
            return None
        payload = payload_of(secret, said[0], said[1], event.at)
        carried: dict[str, Any] = {
            "messageId": str(event.seq),
            "payload": base64.b64encode(payload).decode(),
            "properties": {},
            "publishTime": to_time(event.at),
            "redeliveryCount": 0,
            "key": event.device_id or "",
        }
        return msgspec.json.encode(carried)


class _Consumer:
    """One connection, from its turn to its end."""

    def __init__(self, consuming: Consuming, topic: tuple[str, str], secret: str, ack_s: float) -> None:
        self._consuming = consuming
        self._topic = topic
        self._secret = secret
        self._ack_s = ack_s
        self._listener: Listener | None = None
        self._acks: list[int] = []

    async def run(self, receive: Receive, send: Send) -> None:
        """Until the connection ends, or the key does."""
        hearing = asyncio.create_task(self._hear(receive), name="tuya-consumer")
        telling = asyncio.create_task(self._take_turn(send), name="tuya-messages")
        try:
            await asyncio.wait({hearing, telling}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (hearing, telling):
                task.cancel()
            for ended in await asyncio.gather(hearing, telling, return_exceptions=True):
                if isinstance(ended, Exception):
                    _log.warning("a consumer of messages was left", exc_info=ended)
            with contextlib.suppress(Exception):
                await send({"type": "websocket.close", "code": 1001, "reason": ""})

    async def _hear(self, receive: Receive) -> None:
        """Acknowledgements, until the consumer goes or says what is none."""
        while True:
            message: Any = await receive()
            if message["type"] != "websocket.receive":
                return
            said = message.get("text") or message.get("bytes") or b""
            try:
                seq = int(msgspec.json.decode(said[:MAX_FRAME], type=Acknowledgement).messageId[:20])
            except (msgspec.MsgspecError, ValueError, RecursionError):
                return
            self._acks.append(seq)
            if self._listener is not None:
                self._listener.nudge()

    async def _take_turn(self, send: Send) -> None:
        async with self._consuming.turn(self._topic):
            actor = self._consuming.actor(self._topic[0])
            if actor is None:
                return
            self._listener = listener = self._consuming.join(actor)
            try:
                held = await self._consuming.begin(self._topic)
                self._consuming.telling.add(self._topic)
                await self._tell(listener, send, held)
            finally:
                self._consuming.telling.discard(self._topic)
                self._consuming.leave(listener)

    async def _tell(self, listener: Listener, send: Send, held: Subscription) -> None:
        loop = asyncio.get_running_loop()
        while listener.ending is None and self._consuming.actor(self._topic[0]) is not None:
            self._settle(held)
            for late in held.due(loop.time(), self._ack_s):
                await send({"type": "websocket.send", "text": _again(late.frame, late.again), "bytes": None})
            if not held.is_full and (page := await self._consuming.page(held.read)):
                await self._hand_out(listener, send, held, page)
                continue
            for _ in listener.take():  # it only wakes: what there is, is read from the disk
                pass
            await listener.wait(self._ack_s)

    async def _hand_out(self, listener: Listener, send: Send, held: Subscription, page: list[Event]) -> None:
        for event in page:
            if held.is_full:
                return
            frame = self._consuming.message(listener, event, self._secret)
            if frame is None:
                held.passed(event.seq)
                continue
            held.handed(event.seq, frame, asyncio.get_running_loop().time())
            await send({"type": "websocket.send", "text": frame.decode(), "bytes": None})
        self._consuming.keep(self._topic, held)

    def _settle(self, held: Subscription) -> None:
        if not self._acks:
            return
        acks, self._acks = self._acks, []
        for seq in acks:
            held.acknowledged(seq)
        self._consuming.keep(self._topic, held)


def _again(frame: bytes, times: int) -> str:
    """A frame that is sent once more says how often it was."""
    return frame.decode().replace('"redeliveryCount":0', f'"redeliveryCount":{times}', 1)
