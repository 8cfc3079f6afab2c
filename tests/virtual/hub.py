"""A hub for virtual devices, made of the landed parts: real TCP, real mDNS, a dict instead of a store."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from app.clock import SystemClock
from app.links.lan import LanLink
from app.virtual.notices import Notice
from pairing.activation import Activated, Offer, hub_talk
from pairing.identity import Identity
from pairing.link import Peer
from pairing.mdns import announcing, hub_service
from pairing.messages import Answer, Command, Report
from pairing.pump import pump
from pairing.talk import Progress
from tests.links.heard import Heard

WAIT = 30.0


class Pairable(Protocol):
    """A device of this process or of another."""

    @property
    def id(self) -> str: ...

    @property
    def port(self) -> int: ...

    async def wait(self, event: str) -> Notice: ...


@dataclass
class Hub(Heard):
    """Its own `Hearing`: what devices say is kept in order of arrival."""

    identity: Identity = field(default_factory=lambda: Identity.generate(secrets.token_bytes))
    peers: dict[str, Peer] = field(default_factory=dict)
    epoch: int = 1
    link: LanLink = field(init=False)
    port: int = 0

    async def heard(self, what: str) -> object:
        """The next of this kind; what came before it is passed over."""
        async with asyncio.timeout(WAIT):
            while True:
                kind, value = await self.said.get()
                if kind == what:
                    return value

    async def answer(self) -> Answer:
        found = await self.heard("answered")
        assert isinstance(found, Answer)
        return found

    async def report(self, service: str) -> Report:
        while True:
            found = await self.heard("reported")
            if isinstance(found, Report) and found.service == service:
                return found

    @asynccontextmanager
    async def on(self, *, announced: bool = False, port: int = 0) -> AsyncIterator["Hub"]:
        """Powered: links are taken, at 0 on another port each time."""
        self.link = LanLink(self.identity, self.peers.get, self, SystemClock())
        self.port = await self.link.start("127.0.0.1", port)
        try:
            if announced:
                async with announcing(hub_service(self.identity.hub_id, link_port=self.port)):
                    yield self
            else:
                yield self
        finally:
            await self.link.stop()

    async def pair(self, device: Pairable, *, pin: str | None = None, agree: bool = True) -> Activated:
        """As onboarding does it, the person agreeing where the device shows the same code."""
        reader, writer = await asyncio.open_connection("127.0.0.1", device.port)
        offer = Offer(
            hub_name="Hub",
            endpoints=(("127.0.0.1", self.port),),
            credential=secrets.token_bytes(32),
            binding_id="b",
            time=1_700_000_000_000,
            epoch=self.epoch,
        )

        async def confirm(code: str) -> bool:
            shown = await device.wait("code")
            return agree and shown.details["code"] == code

        async def commit(activated: Activated) -> None:
            self.peers[activated.device_id] = Peer(activated.public_key, activated.credential)

        async def ignore(_: Progress) -> None:
            return None

        talk = hub_talk(self.identity, offer, pin=pin, entropy=secrets.token_bytes)
        async with asyncio.timeout(WAIT):
            return await pump(talk, reader, writer, on_progress=ignore, on_confirm=confirm, on_commit=commit)

    async def link_up(self, device: Pairable) -> None:
        """Until the device is linked."""
        await self.heard("up")
        assert self.link.is_online(device.id)

    def order(self, device: Pairable, command: Command) -> None:
        assert self.link.send(device.id, command)
