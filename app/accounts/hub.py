"""The hub as people meet it: founded at its first start, claimed once, named, and told the time."""

import asyncio
from collections.abc import Callable
from os import urandom
from typing import Final

from msgspec import Struct

from app.accounts.codes import hash_code, new_code, same
from app.accounts.model import ClaimCodeWrong, HubClaimed, Recoverable
from app.accounts.passwords import Passwords
from app.accounts.service import Accounts
from app.accounts.sessions import Sessions
from app.accounts.signing_in import SigningIn
from app.caller import Caller, demand
from app.clock import Time, to_ms, to_time
from app.errors import Invalid, Unavailable
from app.policy import SYSTEM, Action, Actor, Resource
from app.store import hub as rows
from app.store.store import Store
from app.store.tx import Change, Tx
from app.version import version
from pairing.identity import Identity

IDENTITY_ROW: Final = "hub/identity"
# 60 random bits; with 20 tries a code, guessing it is not a way in.
CLAIM_LETTERS: Final = 12
CLAIM_TRIES: Final = 20
# What a phone may take for the present: 2025 to 2100. A clock set to anything else is a broken phone's.
EARLIEST_MS: Final = 1_735_689_600_000
LATEST_MS: Final = 4_102_444_800_000


class HubView(Struct, frozen=True):
    """What anybody in the network may know of a hub."""

    id: str
    name: str
    version: str
    claimed: bool
    time: Time
    time_trusted: bool


class ClockView(Struct, frozen=True):
    """The hub's time, and whether anything trustworthy has set it."""

    time: Time
    time_trusted: bool


class Hub:
    """This hub. `claim_code` is to be shown on its own terminal; None once it is claimed.

    `on_claim_code` is told each new code; `on_clock_set` that time has jumped, for who waits until a time.
    """

    def __init__(
        self, store: Store, accounts: Accounts, sessions: Sessions, signing_in: SigningIn, passwords: Passwords
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._sessions = sessions
        self._signing_in = signing_in
        self._passwords = passwords
        self._row: rows.Hub | None = None
        self._version = ""
        self._tries = 0
        self.claim_code: str | None = None
        self.on_claim_code: list[Callable[[str], None]] = []
        self.on_clock_set: list[Callable[[], None]] = []

    async def open(self, name: str) -> None:
        """Read the hub's row; found it as `name` at its first start. An unclaimed hub gets a new claim code."""
        self._version = await asyncio.to_thread(version)
        self._row = await self._store.read(rows.read_hub)
        if self._row.hub_id is None:
            identity = Identity.generate(urandom)
            await self._new_code(identity, name)
        elif self._row.claim_hash is not None:
            await self._new_code()

    async def identity(self) -> Identity:
        """The key pair hub and devices prove themselves by; raises Unavailable before `open`."""
        secret = await self._store.read(lambda reader: self._store.vault.fetch(reader, IDENTITY_ROW))
        if secret is None:
            raise Unavailable("the hub is starting")
        return Identity(secret)

    def view(self) -> HubView:
        """The public facts; raises Unavailable before `open`."""
        row, now = self._known(), self._store.clock.now()
        claimed = row.claimed_at is not None
        return HubView(row.hub_id or "", row.name, self._version, claimed, to_time(now.ms), now.trusted)

    async def rename(self, by: Caller, name: str) -> HubView:
        """Call the hub `name`; its owner's to do."""
        return await self._store.write(lambda tx: self._rename_in(tx, by, name), once=by.once, returns=HubView)

    def _rename_in(self, tx: Tx, by: Caller, name: str) -> HubView:
        demand(by.actor, Action.HUB_MANAGE, Resource(), tx.moment)
        rows.rename_hub(tx, name)
        row = self._keep(tx)
        tx.record(by.actor, _change("renamed", row, {"name": name}, by.actor.account_id))
        return HubView(row.hub_id or "", name, self._version, True, to_time(tx.now), tx.moment.trusted)

    async def set_clock(self, by: Caller, time: Time) -> ClockView:
        """Take the owner's phone's `time` where the hub has nothing better; time itself never runs back."""
        demand(by.actor, Action.HUB_MANAGE, Resource(), self._store.clock.now())
        self._set_clock(time)

        def act(tx: Tx) -> ClockView:
            rows.keep_time_floor(tx)
            row = rows.read_hub(tx)
            tx.record(by.actor, _change("clock_set", row, {"time": to_time(tx.now)}, by.actor.account_id))
            return ClockView(to_time(tx.now), tx.moment.trusted)

        return await self._store.write(act)

    async def claim(
        self, *, code: str, login: str, password: str, name: str, phone: str, address: str, time: Time | None
    ) -> Recoverable:
        """Make the first account, the hub's owner, with its session and recovery code.

        Raises HubClaimed, ClaimCodeWrong, TooManyAttempts, Invalid.
        """
        if self._known().claimed_at is not None:
            raise HubClaimed
        self._signing_in.attempt(address)
        digest = hash_code(code)
        await self._check(digest)
        if time is not None:  # before the session: one made in the past would be over already
            self._set_clock(time)
        verifier = await self._passwords.hash(password)

        def act(tx: Tx) -> Recoverable:
            self._claim_in(tx, digest)
            made = self._accounts.create_in(tx, login=login, name=name, verifier=verifier, hub_owner=True)
            session = self._sessions.open_in(tx, made.account, name=phone, address=address)
            tx.record(Actor(made.account.id), _change("claimed", rows.read_hub(tx), None, made.account.id))
            return Recoverable(session, made.recovery_code or "")

        claimed = await self._store.write(act)
        self.claim_code = None
        self._signing_in.succeeded(address)
        return claimed

    def _claim_in(self, tx: Tx, digest: bytes) -> None:
        row = rows.read_hub(tx)
        if row.claimed_at is not None:
            raise HubClaimed
        if not same(row.claim_hash, digest):
            raise ClaimCodeWrong
        rows.end_claim(tx)
        self._keep(tx)

    async def _check(self, digest: bytes) -> None:
        if same(self._known().claim_hash, digest):
            return
        self._tries += 1
        if self._tries >= CLAIM_TRIES:
            await self._new_code()
        raise ClaimCodeWrong

    async def _new_code(self, identity: Identity | None = None, name: str = "") -> None:
        """Replace the claim code; with `identity` and `name`, found the hub in the same transaction."""
        self._tries = 0
        code = new_code(CLAIM_LETTERS)

        def act(tx: Tx) -> bool:
            row = rows.read_hub(tx)
            if row.claimed_at is not None:  # while the last wrong code was being counted
                return False
            if identity is not None:
                self._store.vault.keep(tx, IDENTITY_ROW, identity.private)
            rows.found_hub(tx, identity.hub_id if identity else row.hub_id or "", name or row.name, hash_code(code))
            kept = self._keep(tx)
            tx.record(SYSTEM, _change("founded" if identity else "claim_code_renewed", kept, None, None))
            return True

        if await self._store.write(act):
            self.claim_code = code
            for shown in self.on_claim_code:
                shown(code)

    def _keep(self, tx: Tx) -> rows.Hub:
        """What `tx` made of the row is what this answers by once it is on disk."""
        row = rows.read_hub(tx)

        def known() -> None:
            self._row = row

        tx.after(known)
        return row

    def _known(self) -> rows.Hub:
        if self._row is None:
            raise Unavailable("the hub is starting")
        return self._row

    def _set_clock(self, time: Time) -> None:
        self._store.clock.set(_check_time(time))
        for told in self.on_clock_set:
            told()


def _check_time(time: Time) -> int:
    ms = to_ms(time)
    if not EARLIEST_MS <= ms < LATEST_MS:
        raise Invalid("time: not a present this hub can believe")
    return ms


def _change(verb: str, row: rows.Hub, data: object, account_id: str | None) -> Change:
    return Change(f"hub.{verb}", "hub", row.hub_id or "", None, Action.HUB_MANAGE, data, account_id=account_id)
