"""Signing in on a second screen: it shows a QR code, a phone that is signed in says yes, the screen gets a session."""

import asyncio
from typing import Final

from msgspec import Struct

from app.accounts.attempts import peer_of
from app.accounts.codes import hash_code, hash_token, new_code, new_token, same
from app.accounts.hub import Hub
from app.accounts.model import MINUTE_MS, SignedIn
from app.accounts.screen_queries import (
    Screen,
    approve_screen,
    count_screens_at,
    delete_expired_screens,
    delete_screen,
    insert_screen,
    screen,
    screen_of_code,
)
from app.accounts.service import Accounts
from app.accounts.sessions import Sessions
from app.caller import Caller
from app.clock import Time, to_time
from app.errors import NotFound, TooMany
from app.policy import Action
from app.qr import link, svg
from app.store.retention import demand_room
from app.store.store import Store
from app.store.tx import Change, Reader, Tx

# Long enough to fetch the phone; 60 random bits are not guessed meanwhile, and only by people who are signed in.
SCREEN_MS: Final = 2 * MINUTE_MS
CODE_LETTERS: Final = 12
# The table holds 100 (see retention): one address cannot fill it alone.
MAX_PER_ADDRESS: Final = 5


class ScreenStarted(Struct, frozen=True):
    """What a screen shows (`link`, as `qr_svg`; `code` to type instead) and what it asks with (`poll_token`)."""

    id: str
    code: str
    link: str
    qr_svg: str
    poll_token: str
    expires_at: Time


class ScreenView(Struct, frozen=True):
    """What a person is asked to say yes to: what the screen calls itself, and where it is."""

    screen: str
    address: str
    expires_at: Time


class ScreenState(Struct, frozen=True):
    """Whether a phone has said yes; then, once, the session."""

    approved: bool
    session: SignedIn | None = None


class Screens:
    """Sign-ins on second screens that are under way."""

    def __init__(self, store: Store, accounts: Accounts, sessions: Sessions, hub: Hub) -> None:
        self._store = store
        self._accounts = accounts
        self._sessions = sessions
        self._hub = hub

    async def start(self, *, name: str, address: str) -> ScreenStarted:
        """A code for a screen that calls itself `name`; raises TooMany."""
        code, poll_token, peer = new_code(CODE_LETTERS), new_token("dsp"), peer_of(address)

        def act(tx: Tx) -> Screen:
            delete_expired_screens(tx)
            if count_screens_at(tx, peer) >= MAX_PER_ADDRESS:
                raise TooMany("This device shows enough sign-in codes.", retry_after=SCREEN_MS // 1000)
            demand_room(tx, "screen_sign_ins")
            row = Screen(
                tx.new_id(), hash_code(code), hash_token(poll_token), name, peer, None, tx.now, tx.now + SCREEN_MS
            )
            insert_screen(tx, row)
            return row

        row = await self._store.write(act)
        text = link("sign-in", self._hub.view().id, code)
        return ScreenStarted(
            row.id, code, text, await asyncio.to_thread(svg, text), poll_token, to_time(row.expires_at)
        )

    async def look(self, by: Caller, code: str) -> ScreenView:
        """What screen shows `code`; raises NotFound."""
        self._sessions.demand_person(by.actor)
        row = await self._store.read(lambda reader: self._of_code(reader, code))
        return ScreenView(row.screen, row.address, to_time(row.expires_at))

    async def approve(self, by: Caller, code: str) -> None:
        """Let the screen that shows `code` in, as the caller; raises NotFound."""

        def act(tx: Tx) -> None:
            account_id = self._sessions.demand_person(by.actor)
            row = self._of_code(tx, code)
            approve_screen(tx, row.id, account_id)
            facts = {"screen": row.screen, "address": row.address}
            tx.record(
                by.actor,
                Change("screen.approved", "screen", row.id, None, Action.SELF, facts, account_id=account_id),
            )

        await self._store.write(act, once=by.once, returns=type(None))

    async def poll(self, screen_id: str, *, token: str, address: str) -> ScreenState:
        """What the screen asks every few seconds. Approved, the session is handed out once; raises NotFound."""
        row = await self._store.read(lambda reader: self._polled(reader, screen_id, token))
        if row.account_id is None:
            return ScreenState(approved=False)
        session = await self._store.write(lambda tx: self._open_in(tx, screen_id, token, address))
        return ScreenState(approved=True, session=session)

    def _open_in(self, tx: Tx, screen_id: str, token: str, address: str) -> SignedIn:
        row = self._polled(tx, screen_id, token)
        account = self._accounts.get_in(tx, row.account_id or "")
        delete_screen(tx, row.id)
        return self._sessions.open_in(tx, account, name=row.screen, address=address)

    def _of_code(self, reader: Reader, code: str) -> Screen:
        row = screen_of_code(reader, hash_code(code))
        if row is None or row.account_id is not None or row.expires_at <= self._store.clock.now().ms:
            raise NotFound("No screen shows this code any more.")
        return row

    def _polled(self, reader: Reader, screen_id: str, token: str) -> Screen:
        row = screen(reader, screen_id)
        known = same(None if row is None else row.poll_hash, hash_token(token))
        if row is None or not known or row.expires_at <= self._store.clock.now().ms:
            raise NotFound("This sign-in has ended; start another.")
        return row
