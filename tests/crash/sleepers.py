"""Devices that sleep: what they were given, and did, and said, over every life of the hub."""

import asyncio
import secrets
import time
from contextlib import suppress
from random import Random
from typing import Any

import httpx2
from msgspec import Struct, field

from app.devices.model import NewDevice
from pairing import wire
from pairing.channel import Channel
from pairing.device import Binding
from pairing.errors import PairingError
from pairing.identity import Identity
from pairing.link import device_talk
from pairing.messages import Answer, Command, FromDevice, Hello, Ping, Pong, decode_from_hub, encode
from pairing.pump import pump, read_frame
from tests.crash import fetching_hub

WAIT = 60.0
PING_S = 0.02


class Done(Struct):
    """A command, done. `late_by` (ms): it came so long after its time."""

    id: str
    values: dict[str, Any]
    late_by: int


class Life(Struct):
    """One of the hub's: where it is reached, and what a device tells of what happens."""

    client: httpx2.AsyncClient
    link_port: int
    hub_key: bytes
    hub_id: str
    happened: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    over: bool = False


class Sleeper:
    """A device. Its memory outlives hubs; what it does is done without a pause, so that no end of a hub halves it."""

    kind = ""
    link = ""

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

    def new(self, home_id: str) -> NewDevice:
        """To be bound."""
        return NewDevice(
            home_id=home_id,
            hardware_id=self.identity.device_id,
            product_id="lamp",
            public_key=self.identity.public,
            credential=self.credential,
            link=self.link,
        )

    def has_done(self, command_id: str) -> bool:
        """It remembers."""
        return any(each.id == command_id for each in self.done)

    def take(self, command_id: str, values: dict[str, Any], expires_at: int, hub_at: int) -> None:
        """It is given a command, and does it."""
        self.given += 1
        if hub_at >= expires_at:
            self.expired.append(command_id)
        self.done.append(Done(command_id, values, time.time_ns() // 1_000_000 - expires_at))

    async def live(self, life: Life) -> None:
        """Wake and sleep, until the hub's life is over."""
        while not life.over:
            await asyncio.sleep(self.dice.uniform(0.1, 0.8))
            with suppress(OSError, PairingError, httpx2.TransportError):
                await self.wake(life)

    async def wake(self, life: Life) -> None:
        """Once."""
        raise NotImplementedError


class LinkSleeper(Sleeper):
    """It has a link while it is awake. Of every few commands one is the last of its link, answered or not."""

    kind, link = "on the link", "lan"

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


class Fetcher(Sleeper):
    """It asks what there is, and says then what it has and did; not every answer of the hub reaches it."""

    kind, remembers, answers = "fetching", True, True

    def __init__(self, dice: Random) -> None:
        super().__init__(dice)
        self.has: list[str] = []
        self.to_answer: list[Done] = []
        # What the hub has said yes to.
        self.known: set[str] = set()

    async def wake(self, life: Life) -> None:
        """One question, or several."""
        while await self.ask(life):
            pass

    async def ask(self, life: Life) -> bool:
        acknowledged, answers = list(self.has), list(self.to_answer)
        said = {
            "remembers": self.remembers,
            "limit": self.dice.randint(1, 5),
            "acknowledged": acknowledged,
            "answers": [{"id": each.id, "values": each.values} for each in answers],
        }
        reply = await life.client.post(f"{fetching_hub.PATH}/{self.id}", json=said)
        assert reply.status_code == 200, reply.text
        bag = reply.json()
        life.happened.put_nowait("fetched")
        if self.remembers and self.dice.random() < 0.1:  # it is lost on the way: the device knows nothing of it
            return False
        self.has = [each for each in self.has if each not in acknowledged]
        self.to_answer = [each for each in self.to_answer if each not in answers]
        self.known |= {*acknowledged, *(each.id for each in answers)}
        for command in bag["commands"]:
            self.obey(command["id"], command["values"], command["expires_at"], bag["at"])
        return bool(bag["commands"])

    def obey(self, command_id: str, values: dict[str, Any], expires_at: int, hub_at: int) -> None:
        if command_id in self.known:
            self.unasked.append(command_id)
        if self.remembers and self.has_done(command_id):
            self.given += 1
            return
        self.take(command_id, values, expires_at, hub_at)
        if self.answers:
            self.to_answer.append(self.done[-1])
        if not self.answers or self.dice.random() < 0.5:
            self.has.append(command_id)


class SilentFetcher(Fetcher):
    """It has what it was given, and never says what came of it."""

    kind, answers = "fetching, silent", False


class ForgetfulFetcher(Fetcher):
    """It does what it is given, as often as it is given it."""

    kind, remembers = "fetching, forgetful", False
