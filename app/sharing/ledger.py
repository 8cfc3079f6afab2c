"""What becomes of shares, whoever brings it about: each step stored, in memory after the commit, and told."""

from collections.abc import Iterable

import msgspec

from app.accounts.model import Account
from app.accounts.service import Accounts
from app.caller import Caller
from app.clock import Moment
from app.homes.model import Home, Member
from app.homes.queries import memberships_of
from app.homes.standing import Standings
from app.policy import Action, Actor, allowed
from app.sharing import queries
from app.sharing.model import Share, ShareState, ShareView, share_view
from app.sharing.shares import Shares
from app.sharing.things import Sharable
from app.store.retention import KEEP, demand_room
from app.store.tx import Change, Tx


class Ledger:
    """Steps in the life of a share, inside a transaction; who calls has checked that they may be taken.

    A share ends with its thing's stay in the home, with the home, with either person's account, and when the one who
    gave it, or the one who has it, leaves the home: nobody keeps a way back in through what they gave themselves.
    """

    def __init__(self, *, standings: Standings, shares: Shares, sharable: Sharable, accounts: Accounts) -> None:
        self._standings = standings
        self._shares = shares
        self._sharable = sharable
        self._accounts = accounts

    def offer_in(self, tx: Tx, by: Caller, share: Share) -> ShareView:
        """A new offer; raises TooMany. What has ended makes room."""
        most = KEEP["shares"].most or 1
        if queries.count(tx, share.home_id) >= most:
            for share_id in queries.forget_ended(tx, share.home_id, most):
                self._shares.accepted.drop(tx, share_id)
        demand_room(tx, "shares", share.home_id)
        queries.insert_share(tx, share)
        return self._record_in(tx, by, "offered", share)

    def change_in(self, tx: Tx, by: Caller, old: Share, new: Share) -> ShareView:
        """`old` is as `new` from now on."""
        self._put_in(tx, new)
        if old.state is ShareState.ACCEPTED and _gives(old) != _gives(new):
            self._standings.take_away_in(tx, new.home_id)
        return self._record_in(tx, by, "changed", new)

    def end_in(self, tx: Tx, by: Caller, share: Share, state: ShareState = ShareState.ENDED) -> None:
        """A share or an offer is over; who calls has checked that it may be."""
        ended = msgspec.structs.replace(share, state=state, version=share.version + 1, ended_at=tx.now)
        self._put_in(tx, ended)
        if share.state is ShareState.ACCEPTED:
            self._standings.take_away_in(tx, share.home_id)
        self._record_in(tx, by, state.value, ended)

    def accept_in(self, tx: Tx, by: Caller, share: Share, receiver_id: str) -> Share:
        """An offer is taken up; who calls has checked that it may be."""
        accepted = msgspec.structs.replace(
            share,
            state=ShareState.ACCEPTED,
            receiver_id=receiver_id,
            version=share.version + 1,
            accepted_at=tx.now,
        )
        self._put_in(tx, accepted)
        self._record_in(tx, by, "accepted", accepted)
        return accepted

    def become_in(self, tx: Tx, by: Caller, old: Share | None, new: Share) -> None:
        """`new` is how a share stands from now on, whatever it was; who calls has checked it, and settles."""
        queries.store_share(tx, new)
        self._shares.put_in(tx, new)
        if old is not None and old.state is ShareState.ACCEPTED and _lends(old) != _lends(new):
            self._standings.take_away_in(tx, new.home_id)
        changed = old is not None and old.state is new.state
        offered = new.state is ShareState.PENDING
        self._record_in(tx, by, "changed" if changed else "offered" if offered else new.state.value, new)

    def forget_in(self, tx: Tx, by: Caller, share: Share) -> None:
        """Nothing is left of a share; who calls has checked that it may go."""
        if share.state in (ShareState.PENDING, ShareState.ACCEPTED):
            self.end_in(tx, by, share)
        queries.delete_share(tx, share.id)
        self._shares.accepted.drop(tx, share.id)

    def still_meant_in(self, tx: Tx, share: Share) -> bool:
        """Whether who offered it could still do so: who lost that right lets nobody in by an old offer."""
        giver = Actor(share.giver_id)
        resource = self._sharable[share.kind].resource_in(tx, giver, share.thing_id)
        return resource.home_id == share.home_id and allowed(giver, Action.SHARE_MANAGE, resource, tx.moment).yes

    def thing_leaving_in(self, tx: Tx, by: Caller, thing_id: str) -> None:
        """A device or group is no longer the home's to lend."""
        self._end_all_in(tx, by, queries.open_of_thing(tx, thing_id))

    def member_leaving_in(self, tx: Tx, by: Caller, member: Member) -> None:
        """With a member go the shares they gave, and those they have of this home from before."""
        shares = queries.open_of_home(tx, member.home_id)
        self._end_all_in(tx, by, (s for s in shares if member.account_id in (s.giver_id, s.receiver_id)))

    def home_dissolving_in(self, tx: Tx, by: Caller, home: Home) -> None:
        """There is nothing to lend any more."""
        self._end_all_in(tx, by, queries.open_of_home(tx, home.id))

    def account_recovered_in(self, tx: Tx, by: Caller, account: Account) -> None:
        """What was offered in somebody's name while it may have been somebody else is offered no more."""
        for member in memberships_of(tx, account.id):
            offers = (s for s in queries.open_of_home(tx, member.home_id) if s.state is ShareState.PENDING)
            self._end_all_in(tx, by, [offer for offer in offers if offer.giver_id == account.id])

    def account_going_in(self, tx: Tx, by: Caller, account: Account) -> None:
        """Nobody is there to have it any more."""
        self._end_all_in(tx, by, queries.open_to(tx, account.id))

    def _end_all_in(self, tx: Tx, by: Caller, shares: Iterable[Share]) -> None:
        for share in shares:
            self.end_in(tx, by, share)

    def _put_in(self, tx: Tx, share: Share) -> None:
        queries.update_share(tx, share)
        self._shares.put_in(tx, share)

    def _record_in(self, tx: Tx, by: Caller, verb: str, share: Share) -> ShareView:
        """Tell the givers' home, and the receiver as themselves: to them the home is nothing."""
        view = self.view(share, tx.moment)
        event = f"share.{verb}"
        tx.record(by.actor, Change(event, "share", share.id, share.home_id, Action.SHARE_READ, view))
        if share.receiver_id is not None:
            data = {"id": share.id, "kind": share.kind, "thing_id": share.thing_id, "level": share.level}
            told = Change(event, "share", share.id, None, Action.SELF, data, account_id=share.receiver_id, audit=False)
            tx.record(by.actor, told)
        return view

    def view(self, share: Share, now: Moment) -> ShareView:
        """`share` for its givers."""
        thing = self._sharable[share.kind].name_of(share.thing_id)
        return share_view(share, thing, self._accounts.name_of(share.receiver_id or ""), now)


def _gives(share: Share) -> tuple[object, ...]:
    return share.level, share.until, share.hours


def _lends(share: Share) -> tuple[object, ...]:
    return share.state, share.receiver_id, share.kind, share.thing_id, *_gives(share)
