"""To which platform a home is shown: attached, looked at and detached by its owner."""

import asyncio
import ssl
from collections.abc import Callable
from functools import partial

from app.caller import Caller, demand
from app.clock import to_time
from app.control.service import Control
from app.devices.service import Devices
from app.homes.model import Home
from app.homes.standing import Standings
from app.policy import Action, Actor, allowed
from app.store.store import Store
from app.store.tx import Change, Reader, Tx
from app.sync.iotda import queries
from app.sync.iotda.model import (
    HINTS,
    Apart,
    AtACloud,
    CaUnusable,
    Counts,
    NewUpstream,
    NoUpstream,
    RightLost,
    Stage,
    State,
    Status,
    Upstream,
    UpstreamView,
    Where,
)
from app.sync.iotda.requests import Requests, actor_of
from app.sync.iotda.wishes import Wishes

MOST_APART = 100
_BEGINNING = Status(State.CONNECTING)


class Upstreams:
    """`statuses` and `contacts` (ms), by home, are the connections' own; `on_changed` is told of homes, on the loop.

    `is_cloud`: this node stands in no home's network, and is nobody's gateway.
    """

    def __init__(
        self, store: Store, standings: Standings, devices: Devices, control: Control, *, is_cloud: bool = False
    ) -> None:
        self._store = store
        self._standings = standings
        self.devices = devices
        self.requests = Requests(store, standings, devices, control)
        self.wishes = Wishes(store, devices)
        self.statuses: dict[str, Status] = {}
        self.contacts: dict[str, int] = {}
        self.on_changed: list[Callable[[str], None]] = []
        self._is_cloud = is_cloud

    async def attach(self, by: Caller, home_id: str, new: NewUpstream) -> UpstreamView:
        """Show the home there from now on, in the place of where it was shown before, in the name of who asks.

        At another platform, or as another gateway, everything begins anew. Raises NotFound, Refused, Invalid,
        CaUnusable, AtACloud.
        """
        Where.of(new.url)
        if new.ca is not None:
            await asyncio.to_thread(_check_ca, new.ca)
        return await self._store.write(
            lambda tx: self.attach_in(tx, by, home_id, new), once=by.once, returns=UpstreamView
        )

    def attach_in(self, tx: Tx, by: Caller, home_id: str, new: NewUpstream) -> UpstreamView:
        """`attach` inside `tx`."""
        self._demand_in(tx, by, home_id)
        if self._is_cloud:
            raise AtACloud
        old = queries.upstream(tx, home_id)
        same = old if old is not None and (old.url, old.device_id) == (new.url, new.device_id) else None
        version, contact = (0, None) if same is None else (same.list_version, same.contact_at)
        if same is None:
            queries.forget_platform(tx, home_id)
        account_id = by.actor.account_id or ""
        upstream = Upstream(home_id, new.url, new.device_id, new.ca, account_id, version, tx.now, contact)
        queries.put_upstream(tx, upstream)
        self._store.vault.keep(tx, queries.secret_row(home_id), new.secret.encode())
        data = {"url": new.url, "device_id": new.device_id}
        tx.record(by.actor, _change("upstream.attached", home_id, data))
        tx.after(partial(self._changed, home_id, is_over=same is None))
        return self._view(tx, upstream, _BEGINNING)

    async def show(self, actor: Actor, home_id: str) -> UpstreamView:
        """How it is; raises NotFound, NoUpstream, Refused."""
        demand(actor, Action.UPSTREAM_MANAGE, self._standings.home(actor, home_id), self._store.clock.now())
        return await self._store.read(lambda reader: self._shown(reader, home_id))

    def _shown(self, reader: Reader, home_id: str) -> UpstreamView:
        if (upstream := queries.upstream(reader, home_id)) is None:
            raise NoUpstream
        return self._view(reader, upstream, self.statuses.get(home_id, _BEGINNING))

    async def detach(self, by: Caller, home_id: str) -> None:
        """Show the home there no more; the platform keeps what it has until somebody deletes its gateway there.

        Raises NotFound, NoUpstream, Refused.
        """
        await self._store.write(lambda tx: self.detach_in(tx, by, home_id), once=by.once, returns=type(None))

    def detach_in(self, tx: Tx, by: Caller, home_id: str) -> None:
        """`detach` inside `tx`."""
        self._demand_in(tx, by, home_id)
        if queries.upstream(tx, home_id) is None:
            raise NoUpstream
        tx.record(by.actor, _change("upstream.detached", home_id, None))
        self._forget_in(tx, home_id)

    def demand_held(self, upstream: Upstream) -> None:
        """Raise RightLost once who attached it may not any more; from memory."""
        actor = actor_of(upstream)
        home = self._standings.home(actor, upstream.home_id)
        if not allowed(actor, Action.UPSTREAM_MANAGE, home, self._store.clock.now()).yes:
            raise RightLost

    # other nouns

    def home_dissolving_in(self, tx: Tx, by: Caller, home: Home) -> None:
        """A home ends: it is shown nowhere."""
        if queries.upstream(tx, home.id) is not None:
            self._forget_in(tx, home.id)

    def _forget_in(self, tx: Tx, home_id: str) -> None:
        queries.delete_upstream(tx, home_id)
        self._store.vault.forget(tx, queries.secret_row(home_id))
        tx.after(partial(self._changed, home_id, is_over=True))

    def _changed(self, home_id: str, *, is_over: bool) -> None:
        if is_over:
            self.requests.forget(home_id)
            self.contacts.pop(home_id, None)
        self.statuses.pop(home_id, None)
        for told in self.on_changed:
            told(home_id)

    def _demand_in(self, tx: Tx, by: Caller, home_id: str) -> None:
        demand(by.actor, Action.UPSTREAM_MANAGE, self._standings.home_in(tx, by.actor, home_id), tx.moment)

    def _view(self, reader: Reader, upstream: Upstream, status: Status) -> UpstreamView:
        home_id = upstream.home_id
        contact = self.contacts.get(home_id, upstream.contact_at)
        counted = queries.counts(reader, home_id)
        apart = [
            Apart(row.device_id, row.remote_id, row.stage, row.why)
            for stage in (Stage.REFUSED, Stage.REMOVED)
            for row in queries.devices_at(reader, home_id, stage, MOST_APART)
        ]
        return UpstreamView(
            url=upstream.url,
            device_id=upstream.device_id,
            has_ca=upstream.ca is not None,
            account_id=upstream.account_id,
            attached_at=to_time(upstream.attached_at),
            state=status.state,
            cause=status.cause,
            hint="" if status.cause is None else HINTS[status.cause],
            next_try_at=None if status.next_try_at is None else to_time(status.next_try_at),
            last_contact_at=None if contact is None else to_time(contact),
            list_version=upstream.list_version,
            devices=Counts(**counted),
            apart=apart[:MOST_APART],
        )


def _check_ca(pem: str) -> None:
    """Raises CaUnusable. Blocks."""
    try:
        ssl.create_default_context(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise CaUnusable from error


def _change(kind: str, home_id: str, data: dict[str, str] | None) -> Change:
    return Change(kind, "home", home_id, home_id, Action.UPSTREAM_MANAGE, data)
