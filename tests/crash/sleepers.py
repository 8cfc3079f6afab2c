"""Devices that sleep: what they were given, and did, and said, over every life of the hub."""

import asyncio
import json
import secrets
import time
from contextlib import suppress
from random import Random
from typing import Any

import aiomqtt
import httpx2
from msgspec import Struct, field

from app.caller import BY_SYSTEM
from app.devices.model import NewDevice
from app.links.iotda.codec.signing import password
from app.store.tx import Tx
from pairing import wire
from pairing.channel import Channel
from pairing.device import Binding
from pairing.errors import PairingError
from pairing.identity import Identity
from pairing.link import device_talk
from pairing.messages import Answer, Command, FromDevice, Hello, Ping, Pong, decode_from_hub, encode
from pairing.pump import pump, read_frame
from tests.e2e.living import WAIT, Living

PING_S = 0.02
STAMP = "2026112909"


class Done(Struct):
    """A command, done, and when (ms)."""

    id: str
    values: dict[str, Any]
    at: int


class Life(Struct):
    """One of the hub's: where it is reached, and what a device tells of what happens."""

    client: httpx2.AsyncClient
    link_port: int
    mqtt_port: int
    hub_key: bytes
    hub_id: str
    happened: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    over: bool = False


class Sleeper:
    """A device. Its memory outlives hubs; what it does is done without a pause, so that no end of a hub halves it."""

    kind = ""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.identity = Identity.generate(secrets.token_bytes)
        self.credential = secrets.token_bytes(32)
        self.id = ""
        self.done: list[Done] = []
        self.given = 0
        # Handed out by a hub whose clock had passed its time; or after the hub had heard that the device has it.
        self.expired: list[str] = []
        self.unasked: list[str] = []

    async def enter(self, hub: Living) -> None:
        """Into the hub's home."""
        raise NotImplementedError

    def has_done(self, command_id: str) -> bool:
        """It remembers."""
        return any(each.id == command_id for each in self.done)

    def take(self, command_id: str, values: dict[str, Any], expires_at: int | None = None, hub_at: int = 0) -> None:
        """It is given a command, and does it. `hub_at`: the hub handed it out later than that (ms)."""
        self.given += 1
        if expires_at is not None and hub_at >= expires_at:
            self.expired.append(command_id)
        self.done.append(Done(command_id, values, time.time_ns() // 1_000_000))

    async def live(self, life: Life) -> None:
        """Wake and sleep, until the hub's life is over."""
        while not life.over:
            await asyncio.sleep(self.dice.uniform(0.1, 0.8))
            with suppress(OSError, PairingError, httpx2.TransportError, aiomqtt.MqttError):
                await self.wake(life)

    async def wake(self, life: Life) -> None:
        """Once."""
        raise NotImplementedError


class LinkSleeper(Sleeper):
    """It has a link while it is awake. Of every few commands one is the last of its link, answered or not."""

    kind = "on the link"

    async def enter(self, hub: Living) -> None:
        """As if it had been paired."""
        new = NewDevice(
            home_id=hub.home_id,
            hardware_id=self.identity.device_id,
            product_id="lamp",
            public_key=self.identity.public,
            credential=self.credential,
        )

        def act(tx: Tx) -> str:
            return hub.node.services.devices.bind_in(tx, BY_SYSTEM, new).id

        self.id = await hub.node.store.write(act)

    async def wake(self, life: Life) -> None:
        """A link, for some time."""
        reader, writer = await asyncio.open_connection("127.0.0.1", life.link_port, limit=wire.MAX_FRAME)
        try:
            binding = Binding(life.hub_id, life.hub_key, "Hub", (), self.credential, "b", epoch=1, time=0)
            talk = device_talk(self.identity, binding, entropy=secrets.token_bytes)
            channel = await pump(talk, reader, writer, keep_open=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.dice.uniform(0.1, 0.5)):
                    await _Awake(self, life, channel, reader, writer).stay()
        finally:
            writer.transport.abort()


class _Awake:
    def __init__(
        self,
        device: LinkSleeper,
        life: Life,
        channel: Channel,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.device = device
        self.life = life
        self.channel = channel
        self.reader = reader
        self.writer = writer
        # It sends nothing before it has heard who this is.
        self.hub_at = time.time_ns() // 1_000_000

    def say(self, message: FromDevice) -> None:
        self.writer.write(wire.pack(self.channel.seal(encode(message))))

    async def stay(self) -> None:
        self.say(Hello("1.0", "lamp"))
        pinging = asyncio.create_task(self.ping())
        try:
            while await self.hear():
                pass
        finally:
            pinging.cancel()
            await asyncio.gather(pinging, return_exceptions=True)

    async def ping(self) -> None:
        """What the hub sends after its answer it sends later than that says."""
        while not self.writer.transport.is_closing():
            self.say(Ping())
            await asyncio.sleep(PING_S)

    async def hear(self) -> bool:
        frame = await read_frame(self.reader, WAIT, step="test", limit=wire.MAX_FRAME)
        match decode_from_hub(self.channel.open(frame)):
            case Pong(at):
                self.hub_at = at
            case Command() as command:
                return self.obey(command)
        return True

    def obey(self, command: Command) -> bool:
        device, values = self.device, command.values
        assert command.expires is not None
        if not device.has_done(command.id):
            device.take(command.id, values, command.expires, self.hub_at)
        else:
            device.given += 1
        self.life.happened.put_nowait("given")
        how = device.dice.random()
        if how < 0.1:  # gone before it says so
            return False
        self.say(Answer(command.id, ok=True, values=values))
        return how < 0.9


class MqttSleeper(Sleeper):
    """It has an MQTT session that outlives its connections, at QoS 1; it acknowledges what it has done."""

    kind = "by MQTT"

    def __init__(self, dice: Random) -> None:
        super().__init__(dice)
        self.wire_id = f"lamp_{self.identity.device_id[2:]}"
        self.secret = secrets.token_hex(16)
        self.to_answer: list[str] = []

    async def enter(self, hub: Living) -> None:
        """Registered; it subscribes once, before anything is asked of it."""
        new = {"product_id": "lamp", "node_id": self.identity.device_id[2:], "secret": self.secret}
        made = await hub.owner.post(f"/api/homes/{hub.home_id}/devices", json=new)
        assert made.status_code == 201, made.text
        self.id = made.json()["device"]["id"]
        assert hub.node.mqtt is not None
        async with self.connection(hub.node.mqtt.ports["tcp"]) as client:
            await client.subscribe(f"{self.topic}/#", 1)

    @property
    def topic(self) -> str:
        return f"$oc/devices/{self.wire_id}/sys/properties/set"

    def connection(self, port: int) -> aiomqtt.Client:
        """Not yet entered."""
        client = aiomqtt.Client(
            "127.0.0.1",
            port,
            identifier=f"{self.wire_id}_0_0_{STAMP}",
            username=self.wire_id,
            password=password(self.secret.encode(), STAMP),
            clean_session=False,
        )
        client._client.manual_ack_set(True)
        return client

    async def wake(self, life: Life) -> None:
        """A connection, for some time. What it could not say before it says first."""
        client = self.connection(life.mqtt_port)
        try:
            async with client:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.dice.uniform(0.1, 0.5)):
                        await self.talk(life, client)
        finally:
            # It holds how the connection ended, whether or not anybody asks.
            if client._disconnected.done():
                client._disconnected.exception()

    async def talk(self, life: Life, client: aiomqtt.Client) -> None:
        await self.answer(client)
        async for message in client.messages:
            if not self.hear(client, message):
                return
            life.happened.put_nowait("given")
            await self.answer(client)

    def hear(self, client: aiomqtt.Client, message: aiomqtt.Message) -> bool:
        command_id = str(message.topic).rpartition("request_id=")[2]
        if self.has_done(command_id):
            self.given += 1
        else:
            (service,) = json.loads(bytes(message.payload))["services"]
            self.take(command_id, service["properties"])
            self.to_answer.append(command_id)
        if self.dice.random() < 0.1:  # gone before it says so
            return False
        client._client.ack(message.mid, message.qos)
        return self.dice.random() < 0.9

    async def answer(self, client: aiomqtt.Client) -> None:
        for command_id in tuple(self.to_answer):
            await client.publish(f"{self.topic}/response/request_id={command_id}", b'{"result_code":0}', 1)
            self.to_answer.remove(command_id)
            # aiomqtt may lose a cancellation that comes as the answer does (asyncio.wait_for before Python 3.12).
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError


class Fetcher(Sleeper):
    """It calls home now and then; not every answer of the hub reaches it."""

    kind, answers = "calling home", True

    def __init__(self, dice: Random) -> None:
        super().__init__(dice)
        self.token = ""
        self.has: list[str] = []
        self.to_answer: list[Done] = []
        # What the hub has said yes to.
        self.known: set[str] = set()

    async def enter(self, hub: Living) -> None:
        """Registered, as its owner does it."""
        new = {"product_id": "lamp", "node_id": self.identity.device_id[2:], "link": "heartbeat"}
        made = await hub.owner.post(f"/api/homes/{hub.home_id}/devices", json=new)
        assert made.status_code == 201, made.text
        self.id, self.token = made.json()["device"]["id"], made.json()["secret"]

    async def wake(self, life: Life) -> None:
        """One heartbeat, or several."""
        while await self.beat(life):
            pass

    async def beat(self, life: Life) -> bool:
        acknowledged, answers = list(self.has), list(self.to_answer)
        said = {
            "acknowledged": acknowledged,
            "answers": [{"id": each.id, "ok": True, "values": each.values} for each in answers],
        }
        at = time.time_ns() // 1_000_000
        reply = await life.client.post("/v1/heartbeat", json=said, headers={"Authorization": f"Bearer {self.token}"})
        assert reply.status_code == 200, reply.text
        life.happened.put_nowait("beat")
        if self.dice.random() < 0.1:  # it is lost on the way: the device knows nothing of it
            return False
        self.has = [each for each in self.has if each not in acknowledged]
        self.to_answer = [each for each in self.to_answer if each not in answers]
        self.known |= {*acknowledged, *(each.id for each in answers)}
        for command in reply.json()["commands"]:
            self.obey(command["id"], command["values"], command["expires_at"], at)
        return bool(reply.json()["commands"])

    def obey(self, command_id: str, values: dict[str, Any], expires_at: int, hub_at: int) -> None:
        if command_id in self.known:
            self.unasked.append(command_id)
        if self.has_done(command_id):
            self.given += 1
            return
        self.take(command_id, values, expires_at, hub_at)
        if self.answers:
            self.to_answer.append(self.done[-1])
        if not self.answers or self.dice.random() < 0.5:
            self.has.append(command_id)


class SilentFetcher(Fetcher):
    """It has what it was given, and never says what came of it."""

    kind, answers = "calling home, silent", False
