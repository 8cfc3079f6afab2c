"""The link over somebody else's broker (Mosquitto, EMQX): the hub is one of its clients, and so are the devices.

What the broker does is the broker's: who may connect, sessions, wills, retained messages. Devices have to subscribe to
what they want to hear; that they are there is told by what they publish.
"""

import asyncio
import contextlib
import random
import ssl
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import aiomqtt
import structlog
from msgspec import Struct

from app.errors import DoorstepError
from app.links.mqtt.errors import BrokerUnusable, Reason
from app.links.mqtt.ports import Addressing, Connected, Fate, Hearing, Message, Principal, Properties
from pairing.text import clean

PORTS = {"mqtt": 1883, "mqtts": 8883}
KEEP_ALIVE_S = 30
# Between two tries; doubled, with some chance in it so that hubs do not come back all at once.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
# A device that says nothing for so long is taken for gone.
SILENCE_S = 1800.0
LOOKS = 4
# Of messages that were read and wait to be heard; beyond it QoS 0 is dropped. Of the others the broker holds back all
# but those it may have unacknowledged.
MOST_READ = 10_000
AT_ONCE = 256
MOST_PUBLISHING = 1000
_log = structlog.get_logger("doorstep.mqtt")


class BrokerAt(Struct, frozen=True, kw_only=True):
    """Which broker: `mqtt://host:port` or `mqtts://host:port`, with `ca` where its certificate is signed privately."""

    url: str
    client_id: str
    username: str | None = None
    password: str | None = None
    ca: str | None = None


class _Read(asyncio.Queue[aiomqtt.Message]):
    """What was read. The broker bounds what is not acknowledged; the rest is bounded here."""

    def put_nowait(self, item: aiomqtt.Message) -> None:
        if item.qos or self.qsize() < MOST_READ:
            super().put_nowait(item)


class BrokerLink:
    """`start` connects, and again whenever it has to; `close` ends that. It is the `MqttLink` of a hub with a broker.

    A QoS 1 message is acknowledged to the broker when it is on disk; one of QoS 2 comes as QoS 1, at least once.
    """

    def __init__(self, at: BrokerAt, addressing: Addressing, hearing: Hearing, silence: float = SILENCE_S) -> None:
        self._at = at
        self._addressing = addressing
        self._hearing = hearing
        self._silence = silence
        self._client: aiomqtt.Client | None = None
        self._closing = False
        self._read = _Read()
        self._there: dict[str, tuple[Principal, float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None
        self._looking: asyncio.TimerHandle | None = None
        self.connected = asyncio.Event()
        # Connections that ended or were never made, since the start.
        self.failures = 0

    def start(self) -> None:
        """Connect now, and stay connected. Raises BrokerUnusable when the URL is none."""
        where = urlsplit(self._at.url)
        if where.scheme not in PORTS or not where.hostname:
            raise BrokerUnusable(f"{self._at.url!r} is no mqtt:// or mqtts:// URL")
        self._look_around()
        self._running = asyncio.create_task(self._run(), name="mqtt-broker")

    async def close(self) -> None:
        """What was read and not acknowledged comes again at the next start."""
        # Besides the cancellation, which aiomqtt may lose: it waits by asyncio.wait_for, of before Python 3.12.
        self._closing = True
        if self._looking is not None:
            self._looking.cancel()
        tasks = [*self._tasks, *((self._running,) if self._running is not None else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._all_gone("stopping")

    # Link

    def __len__(self) -> int:
        """How many devices are taken to be there."""
        return len(self._there)

    def is_online(self, device_id: str) -> bool:
        """Whether it was heard of lately, and the broker is there to reach it."""
        return device_id in self._there and self._client is not None

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
        """As `MqttLink`; what the broker has acknowledged is "written": the device has not said anything."""
        client = self._client
        if client is None or device_id not in self._there or len(self._tasks) >= MOST_PUBLISHING:
            return False
        task = asyncio.create_task(self._publish(client, topic, payload, qos, on_fate))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def keep(
        self, device_id: str, topic: str, payload: bytes, *, qos: int = 1, properties: Properties | None = None
    ) -> int:
        """As `MqttLink`: 1 when the broker has taken it, who keeps it if the device has asked for that."""
        client = self._client
        if client is None:
            return 0
        fates: list[Fate] = []
        await self._publish(client, topic, payload, qos, fates.append)
        return int(fates == ["written"])

    def drop(self, device_id: str, why: Reason = Reason.ADMINISTRATIVE) -> None:
        """It counts as gone; its connection is the broker's."""
        if (there := self._there.pop(device_id, None)) is not None:
            self._hearing.disconnected(there[0], "dropped")

    async def forget(self, device_id: str) -> None:
        """As `drop`."""
        self.drop(device_id)

    async def _publish(
        self, client: aiomqtt.Client, topic: str, payload: bytes, qos: int, on_fate: Callable[[Fate], None] | None
    ) -> None:
        fate: Fate = "lost"
        try:
            await client.publish(topic, payload, qos)
            fate = "written"
        except (aiomqtt.MqttError, ValueError) as error:
            _log.info("mqtt not published", topic=topic, error=str(error))
        finally:
            if on_fate is not None:
                on_fate(fate)

    # Connection

    async def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            try:
                await self._stay()
            except (aiomqtt.MqttError, DoorstepError, OSError) as error:
                if self.connected.is_set():
                    pause = FIRST_PAUSE_S
                _log.warning("mqtt broker lost", error=str(error), again_in=round(pause, 1))
                self.failures += 1
            finally:
                self.connected.clear()
                self._client = None
            if self._closing:
                return
            self._all_gone("lost")
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - nothing secret
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _stay(self) -> None:
        where, self._read = urlsplit(self._at.url), _Read()
        tls = await asyncio.to_thread(self._tls) if where.scheme == "mqtts" else None
        client = aiomqtt.Client(
            hostname=where.hostname or "",
            port=where.port or PORTS[where.scheme],
            username=self._at.username,
            password=self._at.password,
            identifier=self._at.client_id,
            clean_session=False,
            keepalive=KEEP_ALIVE_S,
            tls_context=tls,
            queue_type=lambda maxsize: self._read,  # type: ignore[arg-type]  # called to make one
        )
        # aiomqtt has no door to this, paho's public one: acknowledge when told to, not when read.
        client._client.manual_ack_set(True)
        async with client:
            await client.subscribe([(each, 1) for each in self._addressing.filters()])
            self._client = client
            self.connected.set()
            _log.info("mqtt broker connected", host=where.hostname)
            while not self._closing:
                await self._hear(client)

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._at.ca)

    async def _hear(self, client: aiomqtt.Client) -> None:
        """Some messages: heard, on disk, and then acknowledged in the order they came."""
        some = [await anext(client.messages)]
        while len(some) < AT_ONCE and not self._read.empty():
            some.append(self._read.get_nowait())
        of_device: dict[str, tuple[Principal, list[Message]]] = {}
        for read in some:
            # What is retained was said, and heard, some time ago.
            if not read.retain and (principal := self._speaker(read)) is not None:
                _, messages = of_device.setdefault(principal.device_id, (principal, []))
                messages.append(Message(str(read.topic), bytes(read.payload), min(read.qos, 1)))
        await asyncio.gather(*(self._published(principal, messages) for principal, messages in of_device.values()))
        for read in some:
            client._client.ack(read.mid, read.qos)

    async def _published(self, principal: Principal, messages: Sequence[Message]) -> None:
        outcomes = await self._hearing.published(principal, messages)
        for message, outcome in zip(messages, outcomes, strict=True):
            if outcome is not None:
                # Acknowledged all the same: the broker would send it for ever.
                _log.info("mqtt declined", device=principal.device_id, topic=clean(message.topic), code=outcome.code)

    # Presence

    def _speaker(self, read: aiomqtt.Message) -> Principal | None:
        principal = self._addressing.speaker(str(read.topic))
        if principal is None:
            return None
        new = principal.device_id not in self._there
        # First of all: what waits for it goes out as it is told of.
        self._there[principal.device_id] = (principal, asyncio.get_running_loop().time())
        if new:
            self._hearing.connected(principal, Connected("", 4, False, "broker"))
        return principal

    def _look_around(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(self._silence / LOOKS, self._look_around)
        late = asyncio.get_running_loop().time() - self._silence
        for device_id in [each for each, (_, heard) in self._there.items() if heard < late]:
            principal, _ = self._there.pop(device_id)
            self._hearing.disconnected(principal, "silent")

    def _all_gone(self, why: str) -> None:
        there, self._there = self._there, {}
        for principal, _ in there.values():
            with contextlib.suppress(DoorstepError):
                self._hearing.disconnected(principal, why)
