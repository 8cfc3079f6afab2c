"""Other people's clients, through our endpoint and through Mosquitto with the hub as its client: one suite for both."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from app.links.mqtt.broker import BrokerAt, BrokerLink
from app.links.mqtt.ports import Fate, MqttLink
from app.store.prepare import open_store
from tests.links.mqtt.house import SECRET, TABLE, Keeper, Porter, house
from tests.links.mqtt.mosquitto import mosquitto

WAIT = 20.0
WAYS = ("endpoint", "broker")


class Way:
    """A hub's link, whichever broker is between, and what was heard over it."""

    def __init__(self, link: MqttLink, keeper: Keeper, port: int, *, own: bool) -> None:
        self.link = link
        self.keeper = keeper
        self.port = port
        self.own = own

    async def until(self, happened: Callable[[], bool]) -> None:
        """Returns once it has."""
        changed = asyncio.Event()
        self.keeper.on_change.append(changed.set)
        async with asyncio.timeout(WAIT):
            while not happened():
                changed.clear()
                await changed.wait()

    def published(self) -> list[str]:
        return [of for what, of in self.keeper.log if what == "published"]


@asynccontextmanager
async def endpoint_way(folder: Path) -> AsyncIterator[Way]:
    async with house(folder / "house") as made:
        yield Way(made.endpoint, made.keeper, made.port, own=True)


@asynccontextmanager
async def broker_way(folder: Path, port: int = 0) -> AsyncIterator[Way]:
    store = await open_store(folder / "house")
    await store.write(lambda tx: tx.run(TABLE))
    keeper = Keeper(store)
    try:
        async with mosquitto(folder / "broker", port) as port:
            link = BrokerLink(BrokerAt(url=f"mqtt://127.0.0.1:{port}", client_id="hub"), Porter(), keeper)
            link.start()
            async with asyncio.timeout(WAIT):
                await link.connected.wait()
            yield Way(link, keeper, port, own=False)
            await link.close()
    finally:
        await store.close()


@pytest.fixture(params=WAYS)
async def way(request: pytest.FixtureRequest, tmp_path: Path, blockbuster: BlockBuster) -> AsyncIterator[Way]:
    async with (endpoint_way if request.param == "endpoint" else broker_way)(tmp_path) as made:
        yield made


class Device:
    """paho, in a thread of its own as people run it."""

    def __init__(self, way: Way, level: int, client_id: str = "device", *, clean: bool = True) -> None:
        version: Any = {4: paho.MQTTv311, 5: paho.MQTTv5}[level]
        stays = clean if level == 4 else None
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=version, clean_session=stays)
        self.client.username_pw_set("dev", SECRET.decode())
        self.entered, self.subscribed = threading.Event(), threading.Event()
        self.client.on_connect = lambda *_: self.entered.set()
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = lambda _, __, message: self._got(message)
        self._way = way
        self._loop = asyncio.get_running_loop()
        self.messages: asyncio.Queue[paho.MQTTMessage] = asyncio.Queue()

    def _got(self, message: paho.MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self.messages.put_nowait, message)

    async def __aenter__(self) -> "Device":
        await asyncio.to_thread(self.client.connect, "127.0.0.1", self._way.port)
        await asyncio.to_thread(self.client.loop_start)
        assert await asyncio.to_thread(self.entered.wait, WAIT)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.client.disconnect)
        await asyncio.to_thread(self.client.loop_stop)

    async def subscribe(self, topic: str, qos: int) -> None:
        self.client.subscribe(topic, qos)
        assert await asyncio.to_thread(self.subscribed.wait, WAIT)

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Returns when it is acknowledged."""
        sent = self.client.publish(topic, payload, qos)
        await asyncio.to_thread(sent.wait_for_publish, WAIT)
        assert sent.is_published()

    async def next(self) -> paho.MQTTMessage:
        async with asyncio.timeout(WAIT):
            return await self.messages.get()


@pytest.mark.parametrize("level", [4, 5])
async def test_reports_at_every_qos_and_a_command_down(way: Way, level: int) -> None:
    async with Device(way, level) as device:
        await device.subscribe("dev/commands/#", 1)
        for qos in (0, 1, 2):
            await device.publish("dev/report", b"%d" % qos, qos)
        await way.until(lambda: len(way.published()) >= 3)
        assert way.published() == ["dev/report"] * 3
        assert way.link.is_online("dev")
        fates: asyncio.Queue[Fate] = asyncio.Queue()
        assert way.link.publish("dev", "dev/commands/1", b"on", on_fate=fates.put_nowait)
        got = await device.next()
        assert (got.topic, got.payload, got.qos) == ("dev/commands/1", b"on", 1)
        async with asyncio.timeout(WAIT):
            assert await fates.get() == ("acked" if way.own else "written")


@pytest.mark.parametrize("level", [4, 5])
async def test_five_hundred_reports_in_a_row_are_heard_in_order(way: Way, level: int) -> None:
    async with Device(way, level) as device:
        for n in range(500):
            sent = device.client.publish("dev/report", b"%d" % n, 1)
        await asyncio.to_thread(sent.wait_for_publish, WAIT)
        await way.until(lambda: len(way.published()) >= 500)
        store = way.keeper._store
        rows = await store.read(lambda reader: reader.all("SELECT payload FROM heard ORDER BY n"))
        assert [int(payload) for (payload,) in rows] == list(range(500))


async def test_a_sleeper_gets_what_was_kept_for_it(way: Way) -> None:
    async with Device(way, 4, "sleeper", clean=False) as device:
        await device.subscribe("dev/down", 1)
        await device.publish("dev/report", b"here", 1)
        await way.until(lambda: len(way.published()) == 1)
    for n in range(3):
        assert await way.link.keep("dev", "dev/down", b"%d" % n) == 1
    async with Device(way, 4, "sleeper", clean=False) as device:
        assert [(await device.next()).payload for _ in range(3)] == [b"0", b"1", b"2"]


async def test_a_will_is_heard(way: Way) -> None:
    device = Device(way, 4)
    device.client.will_set("dev/will", b"gone", 1)
    async with device:
        sock = device.client.socket()
        assert isinstance(sock, socket.socket)
        sock.shutdown(socket.SHUT_RDWR)
        await way.until(lambda: way.published() == ["dev/will"])


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(WAIT):
        told, _ = await process.communicate()
    assert process.returncode == 0
    return told.decode()


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
async def test_mosquittos_own_programs(way: Way, version: str) -> None:
    to = ("-h", "127.0.0.1", "-p", str(way.port), "-u", "dev", "-P", SECRET.decode(), "-V", version)
    for qos in ("0", "1", "2"):
        await run("mosquitto_pub", *to, "-t", "dev/report", "-m", "hello", "-q", qos)
    await way.until(lambda: len(way.published()) == 3)
    await run("mosquitto_pub", *to, "-t", "dev/kept", "-m", "kept", "-r", "-q", "1")
    assert await run("mosquitto_sub", *to, "-t", "dev/#", "-C", "1", "-W", "10") == "kept\n"
