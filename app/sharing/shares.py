"""Every accepted share in memory, by receiver and thing: what devices and groups ask before somebody is let near."""

from collections.abc import Iterator

from app.clock import Moment
from app.homes.standing import Standings
from app.policy import Actor, Grant, Terms, holds
from app.sharing import queries
from app.sharing.model import Share, ShareState
from app.store.resident import Resident
from app.store.store import Store
from app.store.tx import Reader, Tx


class Shares:
    """Accepted shares as grants: from memory for reads, from disk inside a write."""

    def __init__(self, store: Store, standings: Standings) -> None:
        self._standings = standings
        self.accepted: Resident[str, Share] = Resident(lambda r: ((s.id, s) for s in queries.all_accepted(r)))
        self._of: dict[str, dict[str, dict[str, Share]]] = {}
        self.accepted.watch(self._index)
        store.keep_resident(self.accepted)

    def _index(self, key: str, old: Share | None, new: Share | None) -> None:
        if old is not None:
            self._forget(old)
        if new is not None:
            self._of.setdefault(new.receiver_id or "", {}).setdefault(new.thing_id, {})[key] = new

    def _forget(self, share: Share) -> None:
        """Nothing is left behind of a receiver or a thing whose last share this was."""
        receiver = share.receiver_id or ""
        things = self._of.get(receiver, {})
        of_thing = things.get(share.thing_id, {})
        of_thing.pop(share.id, None)
        if not of_thing:
            things.pop(share.thing_id, None)
        if not things:
            self._of.pop(receiver, None)

    def grants_of(self, account_id: str, things: tuple[str, ...]) -> tuple[Grant, ...]:
        """What shares of any of `things` give an account, from memory."""
        mine = self._of.get(account_id)
        if mine is None:
            return ()
        return tuple(
            _grant(share, self._time_zone(share)) for thing in things for share in mine.get(thing, {}).values()
        )

    def grants_of_in(self, reader: Reader, account_id: str, things: tuple[str, ...]) -> tuple[Grant, ...]:
        """What shares of any of `things` give an account, from disk."""
        return tuple(_grant(share, zone) for share, zone in queries.accepted(reader, account_id, things))

    def receivers(self) -> Iterator[str]:
        """Every account that has accepted any share, from memory."""
        return iter(self._of)

    def of_account(self, account_id: str) -> Iterator[Share]:
        """The shares an account has accepted, from memory."""
        for of_thing in self._of.get(account_id, {}).values():
            yield from of_thing.values()

    def since(self, account_id: str, things: tuple[str, ...]) -> int | None:
        """When (ms) an account was first given any of `things`: what was before is not theirs to see. None: never."""
        mine = self._of.get(account_id, {})
        return min((s.accepted_at or 0 for thing in things for s in mine.get(thing, {}).values()), default=None)

    def earliest_end(self, actor: Actor, now: Moment) -> int | None:
        """When (ms) the first of the shares `actor` has now ends by itself; None: none does."""
        decisions = (holds(_terms(s, self._time_zone(s)), now) for s in self.of_account(actor.account_id or ""))
        return min((d.until for d in decisions if d.yes and d.until is not None), default=None)

    def put_in(self, tx: Tx, share: Share) -> None:
        """`share` is what counts once `tx` is on disk."""
        if share.state is ShareState.ACCEPTED:
            self.accepted.put(tx, share.id, share)
        else:
            self.accepted.drop(tx, share.id)

    def _time_zone(self, share: Share) -> str:
        home = self._standings.homes.get(share.home_id)
        return "UTC" if home is None else home.time_zone


def _terms(share: Share, time_zone: str) -> Terms:
    return Terms(share.until, share.hours, time_zone)


def _grant(share: Share, time_zone: str) -> Grant:
    return Grant(share.level, _terms(share, time_zone))
