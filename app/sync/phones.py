"""What a phone that keeps a copy of a home reads: the facts its person may see, by the log's numbers."""

from typing import Any, Final

from msgspec import Struct

from app.caller import demand
from app.homes.standing import Standings
from app.policy import Action, Actor, allowed
from app.store.store import Store
from app.store.tx import Reader
from app.sync import queries
from app.sync.model import decode_entity
from app.sync.operations import NoLog

MOST: Final = 500
# Who may see what: a guest sees the home through the companion API alone, by what is theirs to use.
_SEEN_BY: Final = {
    "share": Action.SHARE_READ,
    "invitation": Action.MEMBER_INVITE,
    "conflict": Action.AUDIT_READ,
    "secret": Action.HOME_SYNC,
    "home_key": Action.HOME_SYNC,
}


class FactView(Struct, frozen=True):
    """A fact; `fields` null: it is there no more."""

    kind: str
    id: str
    seq: int
    fields: dict[str, Any] | None


class FactsView(Struct, frozen=True):
    """Facts that changed after `since`, in order. `epoch` another than before: begin again at 0.

    `head` is the next `since`, also where what changed is not the reader's to see.
    """

    epoch: str
    head: int
    more: bool
    facts: list[FactView]


class PhoneFacts:
    """`changes` of a home."""

    def __init__(self, store: Store, standings: Standings) -> None:
        self._store = store
        self._standings = standings

    async def changes(self, actor: Actor, home_id: str, since: int) -> FactsView:
        """For members; raises NotFound, Refused, NoLog."""
        now, resource = self._store.clock.now(), self._standings.home(actor, home_id)
        demand(actor, Action.MEMBER_READ, resource, now)
        hidden = {kind for kind, action in _SEEN_BY.items() if not allowed(actor, action, resource, now).yes}
        return await self._store.read(lambda reader: _changes(reader, home_id, since, hidden))


def _changes(reader: Reader, home_id: str, since: int, hidden: set[str]) -> FactsView:
    shared = queries.shared(reader, home_id)
    if shared is None:
        raise NoLog
    # Below the floor tombstones are missing: everything again.
    begin = since if shared.floor <= since <= shared.head else 0
    # A first page reaches the floor, however long: from below it nobody could go on.
    most = max(MOST, queries.count_upto(reader, home_id, shared.floor)) if begin == 0 else MOST
    rows = queries.bodies_since(reader, home_id, begin, most)
    head = rows[-1][0] if len(rows) == most else shared.head
    found = [decode_entity(body) for _, body in rows]
    views = [
        FactView(it.kind, it.id, it.seq, None if it.dead is not None else _shown(it.fields))
        for it in found
        if it.kind not in hidden
    ]
    epoch = shared.epoch if begin == since else f"{shared.epoch}-again"
    return FactsView(epoch, head, head < shared.head, views)


def _shown(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
