"""A hub proves itself to its cloud by the key it enrolled with, and gets a token for an hour (PROTOCOL.md 7)."""

import msgspec

from app.accounts.signatures import is_signed
from app.caller import Caller, demand
from app.policy import Action, Resource
from app.store.hub import read_hub
from app.store.store import Store
from app.store.tx import Reader, Tx
from app.sync.enrolment import queries
from app.sync.enrolment.hubs import Hubs
from app.sync.enrolment.model import EnrolledHub, HubUnproved, Revoked, Superseded
from app.sync.enrolment.tokens import LIFE_S, HubTokens, actor_of_life, hub_challenges
from app.sync.enrolment.wire import Challenge, Opened, Prove, session_text


class HubSessions:
    """Sessions of hubs with this cloud."""

    def __init__(self, store: Store, hubs: Hubs, tokens: HubTokens) -> None:
        self._store = store
        self._hubs = hubs
        self._tokens = tokens
        self._challenges = hub_challenges()

    def challenge(self) -> Challenge:
        """Something to sign; raises NotACloud."""
        self._hubs.demand_cloud()
        return Challenge(self._challenges.new(self._store.clock.now().ms))

    async def open(self, said: Prove) -> Opened:
        """A token for a hub that has signed a challenge. A newer life of a hub ends the one before it.

        Raises ChallengeOver, HubUnproved, Revoked, Superseded.
        """
        self._hubs.demand_cloud()
        self._challenges.check(said.nonce, self._store.clock.now().ms)
        hub = await self._store.read(lambda reader: _proved(reader, said))
        if hub.incarnation != said.incarnation:
            await self._store.write(lambda tx: self._supersede_in(tx, _proved(tx, said), said))
        now = self._store.clock.now().ms
        # Of two that came with the same challenge at once only one gets here first.
        self._challenges.spend(said.nonce, now)
        return Opened(self._tokens.give(said.hub_id, said.node, now), LIFE_S)

    def _supersede_in(self, tx: Tx, hub: EnrolledHub, said: Prove) -> None:
        if hub.incarnation == said.incarnation:  # it asked twice at once
            return
        renewed = msgspec.structs.replace(hub, node=said.node, incarnation=said.incarnation, version=hub.version + 1)
        self._hubs.keep_in(tx, actor_of_life(hub.id, said.node), "hub.restored", renewed)

    async def leave(self, by: Caller) -> None:
        """The hub that speaks ends its own enrolment; raises NotFound, Revoked."""
        demand(by.actor, Action.SYNC_SPEAK, Resource(), self._store.clock.now())
        hub_id = by.actor.hub_id or ""
        await self._store.write(lambda tx: self._hubs.revoke_in(tx, by, self._hubs.current_in(tx, hub_id)))


def _proved(reader: Reader, said: Prove) -> EnrolledHub:
    """The hub that has signed, which may speak as the life it says it is; raises as `HubSessions.open`."""
    hub = queries.hub(reader, said.hub_id)
    cloud_id = read_hub(reader).hub_id or ""
    text = session_text(cloud_id, said.hub_id, said.node, said.incarnation, said.nonce)
    if hub is None or not is_signed(hub.public_key, said.signature, text):
        raise HubUnproved
    if hub.revoked_at is not None:
        raise Revoked
    if said.incarnation < hub.incarnation or (said.incarnation == hub.incarnation and said.node != hub.node):
        raise Superseded
    return hub
