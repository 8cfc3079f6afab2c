"""The real application on a real database, spoken to over ASGI by as many people as a test wants."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import httpx2
from litestar.types import ASGIApp

from app.accounts import queries
from app.accounts.codes import hash_token
from app.accounts.model import Session
from app.clock import Moment
from app.policy import Actor
from app.server import application
from app.services import Services
from app.settings import Limits
from app.store.prepare import open_store
from app.store.store import Store
from app.store.tx import Tx

NEVER = 221_845_392_000_000  # the year 9000
# People made here sign in by their session alone: hashing a password for each would be most of a test's time.
UNUSABLE = "no password"
# Tests ask faster than people do; what limits sign-in stays as it is.
PATIENT = Limits(anonymous_per_minute=1_000_000, requests_per_second=1_000_000, request_burst=1_000_000)


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


class Api:
    """A hub (or a cloud) in `folder`: `async with Api(folder) as api`, then `await api.person("anna")`: her client."""

    def __init__(self, folder: Path, limits: Limits = PATIENT, *, is_cloud: bool = False) -> None:
        self._limits = limits
        self._is_cloud = is_cloud
        self._folder = folder
        self.clock = SetClock()
        self.store: Store
        self.services: Services
        self.app: ASGIApp
        self._clients: list[httpx2.AsyncClient] = []

    async def __aenter__(self) -> "Api":
        self.store = await open_store(self._folder, clock=self.clock)
        self.services = Services(self.store, self._limits, is_cloud=self._is_cloud)
        await self.services.start("Doorstep")
        self.app = application(self.services, self.services.credentials, self.clock).asgi
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            await client.aclose()
        await self.services.stop()
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
        """Somebody with an account and a session; `client.headers` carries their token, which is the account's id."""
        accounts = self.services.accounts

        def make(tx: Tx) -> str:
            made = (
                accounts.create_anonymous_in(tx, name=name)
                if anonymous
                else accounts.create_in(tx, login=name, name=name, verifier=UNUSABLE)
            )
            account = made.account
            self.phone_in(tx, account.id, account.id, f"{name}'s phone")
            return account.id

        return self.client(await self.store.write(make))

    def phone_in(self, tx: Tx, account_id: str, token: str, name: str) -> str:
        """A session whose access token is `token` and lives as long as any test's clock; returns its id."""
        refresh = hash_token(f"refresh {token}")
        session = Session(
            tx.new_id(), account_id, name, hash_token(token), NEVER, refresh, NEVER, "127.0.0.1", tx.now, tx.now
        )
        queries.insert_session(tx, session)
        self.services.credentials.sessions.put(tx, session.id, session)
        return session.id

    def actor(self, token: str) -> Actor:
        """Whose `token` is."""
        actor = self.services.credentials.actor_of(token.encode(), self.clock.now())
        assert actor is not None
        return actor
