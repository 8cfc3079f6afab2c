"""Sharing a device or a group with somebody outside its home: the givers' side."""

import asyncio
from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec import UNSET

from app.accounts.codes import hash_code, new_code
from app.accounts.model import normal_login
from app.accounts.service import Accounts
from app.caller import Caller, demand
from app.clock import Moment, to_ms
from app.errors import ClockUntrusted, Invalid, NotFound
from app.homes.model import AlreadyMember
from app.homes.standing import Standings
from app.policy import Action, Actor
from app.qr import link, svg
from app.sharing import queries
from app.sharing.ledger import Ledger
from app.sharing.model import (
    CODE_LETTERS,
    AlreadyShared,
    Kind,
    NewShare,
    Share,
    ShareChange,
    ShareEnded,
    ShareMade,
    ShareState,
    ShareView,
)
from app.sharing.things import Sharable
from app.store.hub import read_hub
from app.store.store import Store
from app.store.tx import Tx

MS = 1000
Listed = list[ShareView]


class Sharing:
    """Shares as the admins of a home give, list, change and end them. Their receivers: see `Receiving`."""

    def __init__(
        self, store: Store, *, standings: Standings, ledger: Ledger, sharable: Sharable, accounts: Accounts
    ) -> None:
        self._store = store
        self._standings = standings
        self._ledger = ledger
        self._sharable = sharable
        self._accounts = accounts

    async def offer(self, by: Caller, kind: Kind, thing_id: str, new: NewShare) -> ShareMade:
        """Offer a device or group to somebody outside.

        Raises NotFound, Refused, Invalid, AlreadyMember, AlreadyShared, TooMany, ClockUntrusted.
        Whether anybody has the login it names cannot be told from the answer.
        """
        made = await self._store.write(
            lambda tx: self.offer_in(tx, by, kind, thing_id, new), once=by.once, returns=ShareMade
        )
        if made.link is None:
            return made
        return msgspec.structs.replace(made, qr=await asyncio.to_thread(svg, made.link))

    def offer_in(self, tx: Tx, by: Caller, kind: Kind, thing_id: str, new: NewShare) -> ShareMade:
        """`offer` inside `tx`; without the picture."""
        resource = self._sharable[kind].resource_in(tx, by.actor, thing_id)
        demand(by.actor, Action.SHARE_MANAGE, resource, tx.moment)
        if not tx.moment.trusted:
            raise ClockUntrusted
        home_id = resource.home_id or ""
        login = None if new.login is None else normal_login(new.login)
        receiver_id = self._receiver_in(tx, home_id, thing_id, login)
        code = new_code(CODE_LETTERS) if login is None else None
        share = Share(
            tx.new_id(),
            home_id,
            kind,
            thing_id,
            by.actor.account_id or "",
            receiver_id,
            login,
            None if code is None else hash_code(code),
            new.level,
            _until(new.until, tx.moment),
            new.hours,
            ShareState.PENDING,
            new.remark,
            version=1,
            created_at=tx.now,
            expires_at=tx.now + new.expires_in * MS,
            accepted_at=None,
            ended_at=None,
        )
        view = self._ledger.offer_in(tx, by, share)
        if code is None:
            return ShareMade(view)
        return ShareMade(view, code, link("share", read_hub(tx).hub_id or "", code))

    def _receiver_in(self, tx: Tx, home_id: str, thing_id: str, login: str | None) -> str | None:
        if login is None:
            return None
        receiver_id = self._accounts.id_of_login(login)
        if receiver_id is not None and self._standings.of_in(tx, Actor(receiver_id), home_id).role is not None:
            raise AlreadyMember
        if queries.live_to_login(tx, thing_id, login, tx.now) is not None:
            raise AlreadyShared
        return receiver_id

    async def list(self, actor: Actor, home_id: str, after: str, limit: int) -> list[ShareView]:
        """At most `limit` shares of a home in order of id, after the id `after`; raises NotFound, Refused."""
        demand(actor, Action.SHARE_READ, self._standings.home(actor, home_id), self._store.clock.now())
        return self._views(await self._store.read(lambda r: queries.listed(r, home_id, after, limit)))

    async def list_of(self, actor: Actor, kind: Kind, thing_id: str, after: str, limit: int) -> Listed:
        """The same for one device or group."""
        resource = self._sharable[kind].resource(actor, thing_id)
        demand(actor, Action.SHARE_READ, resource, self._store.clock.now())
        # A device that was in another home before leaves what that lent of it behind.
        home_id = resource.home_id or ""
        found = await self._store.read(lambda r: queries.listed_of_thing(r, home_id, thing_id, after, limit))
        return self._views(found)

    async def get(self, actor: Actor, home_id: str, share_id: str) -> ShareView:
        """One share; raises NotFound, Refused."""
        demand(actor, Action.SHARE_READ, self._standings.home(actor, home_id), self._store.clock.now())
        share = await self._store.read(lambda r: queries.of_home(r, home_id, share_id))
        if share is None:
            raise NotFound
        return self._ledger.view(share, self._store.clock.now())

    async def change(self, by: Caller, home_id: str, share_id: str, change: ShareChange) -> ShareView:
        """Another level, end, hours or remark; raises NotFound, Refused, Invalid, VersionMismatch, ShareEnded."""
        return await self._store.write(
            lambda tx: self.change_in(tx, by, home_id, share_id, change), once=by.once, returns=ShareView
        )

    def change_in(self, tx: Tx, by: Caller, home_id: str, share_id: str, change: ShareChange) -> ShareView:
        """`change` inside `tx`."""
        old = self._managed_in(tx, by, home_id, share_id)
        until = old.until if change.until is UNSET else _until(change.until, tx.moment)
        new = msgspec.structs.replace(
            old,
            level=old.level if change.level is UNSET else change.level,
            until=until,
            hours=old.hours if change.hours is UNSET else change.hours,
            remark=old.remark if change.remark is UNSET else change.remark,
            version=old.version + 1,
        )
        return self._ledger.change_in(tx, by, old, new)

    async def end(self, by: Caller, home_id: str, share_id: str) -> None:
        """End a share, or take back an offer; raises NotFound, Refused, VersionMismatch, ShareEnded."""
        await self._store.write(
            lambda tx: self._ledger.end_in(tx, by, self._managed_in(tx, by, home_id, share_id)),
            once=by.once,
            returns=type(None),
        )

    def _managed_in(self, tx: Tx, by: Caller, home_id: str, share_id: str) -> Share:
        demand(by.actor, Action.SHARE_MANAGE, self._standings.home_in(tx, by.actor, home_id), tx.moment)
        share = queries.of_home(tx, home_id, share_id)
        if share is None:
            raise NotFound
        by.match(share.version)
        if share.state not in (ShareState.PENDING, ShareState.ACCEPTED):
            raise ShareEnded
        return share

    def _views(self, shares: Iterable[Share]) -> Listed:
        now = self._store.clock.now()
        return [self._ledger.view(share, now) for share in shares]


def _until(until: datetime | None, now: Moment) -> int | None:
    ms = None if until is None else to_ms(until)
    if ms is not None and now.trusted and ms <= now.ms:
        raise Invalid("until: already past")
    return ms
