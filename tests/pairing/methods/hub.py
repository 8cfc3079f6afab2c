"""A hub with one method, on real mDNS and TCP of loopback; its memory outlives its runner."""

import secrets
import time
from collections.abc import AsyncIterator, Callable, Container
from contextlib import asynccontextmanager
from itertools import count

from pairing.activation import Offer
from pairing.identity import Identity
from pairing.mdns import Announcement, Gone, browse_devices
from pairing.methods.method import Method
from pairing.methods.over_lan import OverLan
from pairing.session.runner import Runner
from pairing.testing import MemoryLog, MemoryRegistrar


class MethodHub:
    """`method` is made on its LAN, where only `mine` are heard: others announce on the same loopback."""

    def __init__(self, method: Callable[[OverLan], Method], mine: Container[str]) -> None:
        self.identity = Identity.generate(secrets.token_bytes)
        self.log = MemoryLog()
        self.registrar = MemoryRegistrar()
        self._mine = mine
        self._ids = count(1)
        lan = OverLan(self.identity, self.offer, entropy=secrets.token_bytes, browse=self.browse, news_within=1.0)
        self.method = method(lan)
        self.runner = self._runner()

    def _runner(self) -> Runner:
        return Runner(
            log=self.log,
            registrar=self.registrar,
            methods=[self.method],
            now=lambda: time.time_ns() // 1_000_000,
            new_id=lambda: f"s-{next(self._ids)}",
        )

    async def restart(self) -> None:
        await self.runner.close()
        self.runner = self._runner()
        await self.runner.resume_all()

    @asynccontextmanager
    async def browse(self) -> AsyncIterator[AsyncIterator[Announcement | Gone]]:
        async with browse_devices() as browser:
            yield (news async for news in browser if news.id in self._mine)

    async def offer(self, session_id: str, attempt: int) -> Offer:
        return Offer(
            hub_name="Home",
            endpoints=(("127.0.0.1", 8471),),
            credential=secrets.token_bytes(32),
            binding_id=f"{session_id}-{attempt}",
            time=1_700_000_000_000,
        )
