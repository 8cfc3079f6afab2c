"""The hub's own MQTT endpoint: where devices connect, over TCP, TLS or WebSocket, and the way back to them."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from app.accounts.attempts import peer_of
from app.errors import DoorstepError
from app.links.mqtt.arrivals import Arrivals
from app.links.mqtt.client import Client
from app.links.mqtt.errors import Reason
from app.links.mqtt.intake import Intake
from app.links.mqtt.keeping import Keeping
from app.links.mqtt.limits import Limits
from app.links.mqtt.ports import Admission, Fate, Hearing, Message, Properties
from app.links.mqtt.spaces import Spaces
from app.links.mqtt.tls_door import TlsDoor
from app.links.mqtt.websocket import WebSocketDoor
from app.links.mqtt.wheel import Wheel
from app.store.store import Store

BACKLOG = 512
# Sessions that have ended are looked for so often.
TIDY_MS = 30_000
_log = structlog.get_logger("doorstep.mqtt")


class Endpoint:
    """`open` it over a loaded store, `listen` on as many faces as are wanted; `close` leaves no task and no socket.

    It is the `MqttLink` to those who connect here.
    """

    def __init__(self, store: Store, admission: Admission, hearing: Hearing, limits: Limits | None = None) -> None:
        self.store = store
        self.limits = limits or Limits()
        self.keeping = Keeping(store)
        self.spaces = Spaces(self.keeping, store.clock, self.limits)
        self.intake = Intake(store, self.spaces, admission, hearing, self.limits)
        self.arrivals = Arrivals(self, admission, hearing)
        self.counts: Counter[str] = Counter()
        self.wheel: Wheel
        self.time: Callable[[], float]
        self.now_ms = 0
        self._clients: set[Client] = set()
        self._strangers: set[Client] = set()
        self._of_address: Counter[str] = Counter()
        self._strangers_of: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._tidied_ms = 0
        self._tidying: asyncio.Task[None] | None = None
        self._is_closing = False

    async def open(self) -> None:
        """Read what is on disk."""
        self.time = asyncio.get_running_loop().time
        self.now_ms = self._tidied_ms = self.store.clock.now().ms
        await self.spaces.open()
        self.wheel = Wheel(self._tick)

    async def listen(
        self, host: str, port: int, *, tls: Callable[[], ssl.SSLContext] | None = None, websocket: bool = False
    ) -> int:
        """Accept connections; returns the port, which is a free one where 0 was asked for. Raises OSError.

        `tls` is asked at each connection.
        """
        via = ("wss" if tls else "ws") if websocket else "tls" if tls else "tcp"

        def made() -> asyncio.Protocol:
            client = Client(self, via)
            inner = WebSocketDoor(client, self.limits) if websocket else client
            return inner if tls is None else TlsDoor(client, inner, tls())

        server = await asyncio.get_running_loop().create_server(made, host, port, backlog=BACKLOG)
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """End every connection; what was read of them is still dealt with."""
        self._is_closing = True
        for server in self._servers:
            server.close()
        for client in list(self._clients):
            client.end(Reason.SHUTTING_DOWN, "stopping")
        loop = asyncio.get_running_loop()
        until = loop.time() + self.limits.handshake
        while (self._clients or self._tasks) and loop.time() < until:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=until - loop.time())
            else:
                await asyncio.sleep(0.01)  # closing sockets tell their protocols, and nobody else
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.wheel.close()

    # Link

    def __len__(self) -> int:
        """How many clients are connected."""
        return len(self._clients) - len(self._strangers)

    def is_online(self, device_id: str) -> bool:
        """Whether it has a connection."""
        space = self.spaces.find(device_id)
        return space is not None and any(
            s.connection is not None and s.connection.is_welcome for s in space.sessions.values()
        )

    def publish(
        self,
        device_id: str,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        properties: Properties | None = None,
        on_fate: Callable[[Fate], None] | None = None,
    ) -> bool:
        """As `MqttLink`."""
        message = Message(topic, payload, qos, False, properties)
        _, deliveries = self.spaces.downward(device_id, message, keep=False)
        told = None if on_fate is None else _First(on_fate, len(deliveries))
        taken = False
        for delivery in deliveries:
            delivery.message.on_fate = told
            if delivery.deliver():
                taken = True
            elif told is not None:
                told.left -= 1
        return taken

    async def keep(
        self, device_id: str, topic: str, payload: bytes, *, qos: int = 1, properties: Properties | None = None
    ) -> int:
        """As `MqttLink`."""
        message = Message(topic, payload, qos, False, properties)
        changes, deliveries = self.spaces.downward(device_id, message, keep=True)
        return await self.spaces.deliver(changes, deliveries)

    def drop(self, device_id: str, why: Reason = Reason.ADMINISTRATIVE) -> None:
        """As `MqttLink`."""
        space = self.spaces.find(device_id)
        for session in list(space.sessions.values()) if space is not None else ():
            client: Client | None = session.connection
            if client is not None:
                client.end(why, "dropped")
        for stranger in list(self._strangers):
            # Admitted, and waiting for an older connection to be over.
            if stranger.principal is not None and stranger.principal.device_id == device_id:
                stranger.end(why, "dropped")

    async def forget(self, device_id: str) -> None:
        """As `MqttLink`."""
        self.drop(device_id)
        self.arrivals.forget(device_id)
        await self.store.write(self.spaces.forget(device_id))

    # For its clients

    def entered(self, client: Client) -> bool:
        """Count it; False where there is no room for one more."""
        limits, peer = self.limits, peer_of(client.address)
        self._clients.add(client)
        self._strangers.add(client)
        self._of_address[peer] += 1
        self._strangers_of[peer] += 1
        full = (
            self._is_closing
            or len(self._clients) > limits.connections
            or len(self._strangers) > limits.strangers
            or self._of_address[peer] > limits.connections_per_address
            or self._strangers_of[peer] > limits.strangers_per_address
        )
        if full:
            self.counts["turned_away"] += 1
        return not full

    def admitted(self, client: Client) -> None:
        """It is no stranger any more."""
        self._known(client)
        self.counts["connected"] += 1
        client.welcomed()
        self.wheel.put(client)

    def _known(self, client: Client) -> None:
        if client in self._strangers:
            self._strangers.discard(client)
            _less(self._strangers_of, peer_of(client.address))

    def gone(self, client: Client) -> None:
        """Its socket is closed."""
        self._known(client)
        if client in self._clients:
            self._clients.discard(client)
            _less(self._of_address, peer_of(client.address))

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """In a task that is seen to its end."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _tick(self) -> None:
        self.now_ms = self.store.clock.now().ms
        due = self.now_ms - self._tidied_ms >= TIDY_MS or self.arrivals.is_due(self.now_ms)
        if due and self._tidying is None:
            self._tidied_ms = self.now_ms
            self._tidying = self.start(self._tidy())

    async def _tidy(self) -> None:
        try:
            self.keeping.flush()
            await self.arrivals.tidy(self.now_ms)
        except DoorstepError as error:
            _log.warning("mqtt sessions not tidied", code=error.code)
        finally:
            self._tidying = None


class _First:
    """Of a message that goes to several connections: acknowledged once one has, lost when all have lost it."""

    __slots__ = ("_tell", "left")

    def __init__(self, tell: Callable[[Fate], None], of: int) -> None:
        self._tell: Callable[[Fate], None] | None = tell
        self.left = of

    def __call__(self, fate: Fate) -> None:
        self.left -= 1
        if self._tell is not None and (fate != "lost" or self.left <= 0):
            tell, self._tell = self._tell, None
            tell(fate)


def _less(counted: Counter[str], key: str) -> None:
    counted[key] -= 1
    if not counted[key]:
        del counted[key]
