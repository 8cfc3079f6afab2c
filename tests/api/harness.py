"""The real application on a real database, spoken to over ASGI by as many people as a test wants."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import httpx2
from litestar.types import ASGIApp

from app.clock import Moment
from app.policy import Actor
from app.server import Services, application
from app.store.prepare import open_store
from app.store.store import Store
from app.store.tx import Tx


class SetClock:
    """The machine's time until a test sets another, forwards or back; it runs on from there."""

    def __init__(self) -> None:
        self._offset = 0
        self.trusted = True

    def now(self) -> Moment:
        """The present as the test has it."""
        return Moment(time.time_ns() // 1_000_000 + self._offset, self.trusted)

    def set(self, ms: int) -> None:
        """It is `ms` now, and that is trusted."""
        self._offset = ms - time.time_ns() // 1_000_000
        self.trusted = True


class Tokens:
    """Stands in for sign-in where a test is not about it: the token is the account's id."""

    def __init__(self) -> None:
        self.actors: dict[bytes, Actor] = {}

    def actor_of(self, token: bytes, now: Moment) -> Actor | None:
        """The account that was made with this token."""
        return self.actors.get(token)


class Api:
    """A hub in `folder`: `async with Api(folder) as api`, then `await api.person("anna")` for a client of theirs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.clock = SetClock()
        self.tokens = Tokens()
        self.store: Store
        self.services: Services
        self.app: ASGIApp
        self._clients: list[httpx2.AsyncClient] = []

    async def __aenter__(self) -> "Api":
        self.store = await open_store(self._folder, clock=self.clock)
        self.services = Services(self.store)
        await self.store.load()
        self.app = application(self.services, self.tokens, self.clock)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            await client.aclose()
        await self.store.close()

    def forward(self, ms: int) -> None:
        """Let `ms` pass at once."""
        self.clock.set(self.clock.now().ms + ms)
        self.services.bus.clock_changed()

    def client(self, token: str | None = None) -> httpx2.AsyncClient:
        """A client that sends `token`, or none."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=cast("Any", self.app)), base_url="http://hub", headers=headers
        )
        self._clients.append(client)
        return client

    async def person(self, name: str, *, anonymous: bool = False) -> httpx2.AsyncClient:
        """Somebody with an account; `client.headers` carries their token, which is the account's id."""

        def make(tx: Tx) -> str:
            account_id = tx.new_id()
            tx.run(
                "INSERT INTO accounts(id,login,name,public_key,created_at) VALUES(?,?,?,x'00',?)",
                (account_id, None if anonymous else name, name, tx.now),
            )
            return account_id

        account_id = await self.store.write(make)
        self.tokens.actors[account_id.encode()] = Actor(account_id, f"session-{name}", anonymous=anonymous)
        return self.client(account_id)
