"""Enrolling as the cloud sees it: a code is made, a hub takes it up, who made the code confirms it."""

import asyncio
import secrets
from typing import Final

import msgspec

from app.accounts.codes import hash_code, hash_token, new_code, new_token, same
from app.accounts.model import DAY_MS
from app.caller import Caller, demand
from app.clock import Moment, to_time
from app.errors import NotFound, Unavailable
from app.homes.code_tries import CodeTries
from app.policy import Action, Actor, Resource
from app.qr import svg
from app.store.hub import read_hub
from app.store.retention import KEEP, demand_room
from app.store.store import Store
from app.store.tx import Change, Reader, Tx
from app.sync.enrolment import queries
from app.sync.enrolment.hubs import Hubs
from app.sync.enrolment.link import enrol_link
from app.sync.enrolment.model import (
    CODE_LETTERS,
    CODE_MS,
    NONCE_BYTES,
    OPEN,
    EnrolledHub,
    EnrolledHubView,
    Enrolment,
    EnrolmentCodeUnknown,
    EnrolmentEnded,
    EnrolmentMade,
    EnrolmentNotAsked,
    EnrolmentState,
    EnrolmentView,
    HubTaken,
    Introduction,
    enrolment_view,
)
from app.sync.enrolment.wire import Asked, AskState, Enrol, State, short_number

# A hub that was switched off meanwhile still learns what became of its enrolment.
REMEMBERED_MS: Final = 30 * DAY_MS
SWEPT_AT_ONCE: Final = 500


class CloudEnd:
    """Codes by which hubs enrol. `known` says where this cloud is reached, once that listens."""

    def __init__(self, store: Store, hubs: Hubs, tries: CodeTries) -> None:
        self._store = store
        self._hubs = hubs
        self._tries = tries
        self._url = ""
        self._pin: str | None = None

    def known(self, url: str, pin: str | None) -> None:
        """Hubs reach this cloud at `url`, and pin its certificate by `pin` (None: verify it as any web server's)."""
        self._url, self._pin = url, pin

    def start_housekeeping(self) -> None:
        """Have old codes forgotten; the store must be open."""
        self._store.housekeeping.register("enrolments", _sweep)

    # who owns the hub

    async def create(self, by: Caller) -> EnrolmentMade:
        """A code for a hub of the caller's; raises Refused, NotACloud, TooMany, Unavailable."""
        made = await self._store.write(lambda tx: self.create_in(tx, by), once=by.once, returns=EnrolmentMade)
        return msgspec.structs.replace(made, qr=await asyncio.to_thread(svg, made.link))

    def create_in(self, tx: Tx, by: Caller) -> EnrolmentMade:
        """`create` inside `tx`; without the picture."""
        demand(by.actor, Action.HUB_ENROL, Resource(), tx.moment)
        self._hubs.demand_cloud()
        if not self._url:
            raise Unavailable("The cloud is starting.")
        account_id = by.actor.account_id or ""
        if queries.count_enrolments(tx, account_id) >= (KEEP["enrolments"].most or 1):
            queries.forget_oldest_ended(tx, account_id)
        demand_room(tx, "enrolments", account_id)
        code = new_code(CODE_LETTERS)
        ends = tx.now + CODE_MS
        made = Enrolment(tx.new_id(), hash_code(code), account_id, EnrolmentState.OFFERED, None, tx.now, ends)
        queries.insert_enrolment(tx, made)
        self._tell(tx, by.actor, "enrolment.created", made)
        return EnrolmentMade(made.id, code, enrol_link(self._url, self._pin, code), "", to_time(ends))

    async def get(self, actor: Actor, enrolment_id: str) -> EnrolmentView:
        """What became of one of the caller's codes; raises NotFound."""
        now = self._store.clock.now()
        found = await self._store.read(lambda reader: _mine_in(reader, actor, enrolment_id, now))
        return enrolment_view(found, now.ms)

    async def confirm(self, by: Caller, enrolment_id: str) -> EnrolledHubView:
        """Let in the hub that took up the code, after its number was compared.

        Raises NotFound, EnrolmentNotAsked, EnrolmentEnded, HubTaken, TooMany.
        """
        return await self._store.write(
            lambda tx: self.confirm_in(tx, by, enrolment_id), once=by.once, returns=EnrolledHubView
        )

    def confirm_in(self, tx: Tx, by: Caller, enrolment_id: str) -> EnrolledHubView:
        """`confirm` inside `tx`."""
        found = self._open_in(tx, by, enrolment_id)
        if found.hub is None:
            raise EnrolmentNotAsked
        self._end_in(tx, by.actor, found, EnrolmentState.CONFIRMED)
        hub = self._enrolled_in(tx, by, found.account_id, found.hub)
        self._hubs.keep_in(tx, by.actor, "hub.enrolled", hub)
        return self._hubs.view(hub)

    def _enrolled_in(self, tx: Tx, by: Caller, owner_id: str, said: Introduction) -> EnrolledHub:
        """The hub's row; one that was enrolled before has other keys now, and serves its owner's homes still."""
        former = queries.hub(tx, said.hub_id)
        if former is not None and former.owner_id != owner_id:
            if former.revoked_at is None:
                raise HubTaken
            self._hubs.forget_in(tx, former.id)
            former = None
        if former is None:
            self._hubs.make_room_in(tx, owner_id)
        return EnrolledHub(
            said.hub_id,
            said.public_key,
            said.seal_key,
            said.name,
            owner_id,
            said.node,
            said.incarnation,
            version=1 if former is None else former.version + 1,
            enrolled_at=tx.now,
            heard_at=None,
            revoked_at=None,
        )

    async def refuse(self, by: Caller, enrolment_id: str) -> None:
        """The code opens nothing any more; raises NotFound, EnrolmentEnded."""

        def act(tx: Tx) -> None:
            self._end_in(tx, by.actor, self._open_in(tx, by, enrolment_id), EnrolmentState.REFUSED)

        await self._store.write(act, once=by.once, returns=type(None))

    def _open_in(self, tx: Tx, by: Caller, enrolment_id: str) -> Enrolment:
        found = _mine_in(tx, by.actor, enrolment_id, tx.moment)
        if found.state_at(tx.now) not in OPEN:
            raise EnrolmentEnded
        return found

    def _end_in(self, tx: Tx, actor: Actor, found: Enrolment, state: EnrolmentState) -> None:
        ended = msgspec.structs.replace(found, state=state)
        queries.update_enrolment(tx, ended)
        self._tell(tx, actor, f"enrolment.{state}", ended)

    # the hub

    async def take_up(self, by: Caller, said: Enrol) -> Asked:
        """A hub introduces itself with a code. Raises EnrolmentCodeUnknown, EnrolmentEnded, TooManyAttempts."""
        self._hubs.demand_cloud()
        with self._tries.trying(by, EnrolmentCodeUnknown):
            return await self._store.write(lambda tx: self._take_up_in(tx, said))

    def _take_up_in(self, tx: Tx, said: Enrol) -> Asked:
        found = queries.enrolment_of_code(tx, hash_code(said.code))
        if found is None:
            raise EnrolmentCodeUnknown
        if found.state_at(tx.now) is not EnrolmentState.OFFERED:
            raise EnrolmentEnded
        cloud, nonce, secret = read_hub(tx), secrets.token_bytes(NONCE_BYTES), new_token("dse")
        cloud_id = cloud.hub_id or ""
        hub = Introduction(
            said.hub_id,
            said.name,
            said.public_key,
            said.seal_key,
            said.node,
            said.incarnation,
            said.nonce,
            nonce,
            short_number(cloud_id, said, nonce),
            hash_token(secret),
        )
        # Whoever compares the number has a whole quarter of an hour for it.
        asked = msgspec.structs.replace(found, state=EnrolmentState.ASKED, hub=hub, expires_at=tx.now + CODE_MS)
        queries.update_enrolment(tx, asked)
        self._tell(tx, Actor(None, f"hub/{said.hub_id}"), "enrolment.asked", asked)
        return Asked(asked.id, secret, cloud_id, cloud.name, nonce)

    async def state(self, by: Caller, said: AskState) -> State:
        """What became of it, for the hub that took it up; raises EnrolmentCodeUnknown, TooManyAttempts."""
        self._hubs.demand_cloud()

        def ask(reader: Reader) -> Enrolment:
            found = queries.enrolment(reader, said.enrolment)
            hub = None if found is None else found.hub
            known = same(None if hub is None else hub.secret_hash, hash_token(said.secret))
            if found is None or not known:
                raise EnrolmentCodeUnknown
            return found

        with self._tries.trying(by, EnrolmentCodeUnknown):
            found = await self._store.read(ask)
        return State(found.state_at(self._store.clock.now().ms).value)

    def _tell(self, tx: Tx, actor: Actor, event: str, enrolment: Enrolment) -> None:
        hub = enrolment.hub
        facts = {"id": enrolment.id, "state": enrolment.state}
        if hub is not None:
            facts |= {"hub_id": hub.hub_id, "hub_name": hub.name, "number": hub.number}
        account_id = enrolment.account_id
        tx.record(actor, Change(event, "enrolment", enrolment.id, None, Action.SELF, facts, account_id=account_id))


def _mine_in(reader: Reader, actor: Actor, enrolment_id: str, now: Moment) -> Enrolment:
    """One of the actor's codes; raises NotFound, Refused."""
    demand(actor, Action.HUB_ENROL, Resource(), now)
    found = queries.enrolment(reader, enrolment_id)
    if found is None:
        raise NotFound
    demand(actor, Action.HUB_ENROL, Resource(account_id=found.account_id), now)
    return found


def _sweep(tx: Tx) -> int:
    return queries.forget_enrolments(tx, tx.now - REMEMBERED_MS, SWEPT_AT_ONCE)
