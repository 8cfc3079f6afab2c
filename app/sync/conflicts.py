"""What was lost, for people: listed, undone by a new act of theirs, or dismissed (PROTOCOL.md 6)."""

from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from app.accounts.people import People
from app.caller import Caller, demand
from app.clock import Time, to_time
from app.errors import Conflict, NotFound, Refused
from app.homes.standing import Standings
from app.ids import new_id
from app.policy import Action, Actor
from app.store.store import Store
from app.store.tx import Change, Reader, Tx
from app.sync import outbox_queries, queries, rules
from app.sync.acting import Acting
from app.sync.model import NOBODY, Entity, Op, Part
from app.sync.seen import Seen

State = Literal["open", "undone", "dismissed"]
# What can be made anew under another id, when its end took an edit along.
_ANEW: Final = frozenset({"room", "group"})


class CannotUndo(Conflict):
    """What was lost cannot be written again."""

    code = "cannot_undo"
    hint = "Make the change by hand, if it is still wanted; then dismiss this."


class Side(Struct, frozen=True):
    """A value, and who wrote it when; `account_id` null: nobody this node knows, or the hub itself."""

    value: Any
    account_id: str | None
    name: str
    at: Time | None


class ConflictView(Struct, frozen=True):
    """A value that was lost without its writer, or who overwrote it, having seen the other.

    `entity_kind`, `entity_id` and `field` say of what; `field` empty: of all that was asked of it at once. `why`:
    newer, deleted, badref, or denied:reason. `kept` is what stood against it then.
    """

    id: str
    entity_kind: str
    entity_id: str
    field: str
    why: str
    lost: Side
    kept: Side
    state: State


class Conflicts:
    """Conflict records of the homes this node has a log of."""

    def __init__(self, store: Store, standings: Standings, people: People, acting: Acting) -> None:
        self._store = store
        self._standings = standings
        self._people = people
        self._acting = acting

    async def list(self, actor: Actor, home_id: str, state: State | None, after: str, limit: int) -> list[ConflictView]:
        """At most `limit` in the order they came about, after the id `after`; raises NotFound, Refused."""
        demand(actor, Action.AUDIT_READ, self._standings.home(actor, home_id), self._store.clock.now())

        def ask(reader: Reader) -> list[ConflictView]:
            found = queries.entities_after(reader, home_id, "conflict", after, limit if state is None else 1 << 30)
            here = outbox_queries.settled_here(reader, home_id)
            shown = [_shown(it, here) for it in found]
            fit = [it for it in shown if state is None or it.fields.get("state", "open") == state]
            return [self._view(reader, it) for it in fit[:limit]]

        return await self._store.read(ask)

    async def get(self, actor: Actor, home_id: str, conflict_id: str) -> ConflictView:
        """One; raises NotFound, Refused."""
        demand(actor, Action.AUDIT_READ, self._standings.home(actor, home_id), self._store.clock.now())
        return await self._store.read(lambda reader: self._view(reader, _found(reader, home_id, conflict_id)))

    async def undo(self, by: Caller, home_id: str, conflict_id: str) -> ConflictView:
        """Write what was lost again, as an act of the caller's; raises NotFound, Refused, CannotUndo."""
        return await self._store.write(
            lambda tx: self._settle_in(tx, by, home_id, conflict_id, "undone"), once=by.once, returns=ConflictView
        )

    async def dismiss(self, by: Caller, home_id: str, conflict_id: str) -> ConflictView:
        """It is well as it is; raises NotFound, Refused, CannotUndo (it is settled already)."""
        return await self._store.write(
            lambda tx: self._settle_in(tx, by, home_id, conflict_id, "dismissed"), once=by.once, returns=ConflictView
        )

    def _settle_in(self, tx: Tx, by: Caller, home_id: str, conflict_id: str, state: State) -> ConflictView:
        demand(by.actor, Action.HOME_UPDATE, self._standings.home_in(tx, by.actor, home_id), tx.moment)
        conflict = _found(tx, home_id, conflict_id)
        if conflict.fields.get("state", "open") != "open":
            raise CannotUndo("This was settled already.")
        parts = [Part("conflict", conflict_id, "put", {"state": state})]
        seen = Seen(tx, home_id)
        if state == "undone":
            parts.insert(0, self._again(tx, seen, conflict.fields))
        key = self._people.key_in(tx, home_id, by.actor.account_id) or NOBODY
        asked = Op("", 1, key, 1, 1 << 62, parts)
        if why := rules.judge(asked, seen, tx.moment, rules.By(None)):
            raise Refused(f"This cannot be done now ({why}).")
        self._acting.do_in(tx, home_id, key, parts)
        tx.record(by.actor, Change(f"conflict.{state}", "conflict", conflict_id, home_id, Action.AUDIT_READ))
        return self._view(tx, _shown(conflict, {conflict_id: state}))

    def _again(self, tx: Tx, seen: Seen, facts: dict[str, Any]) -> Part:
        kind, entity_id, field, lost = facts["kind"], facts["id"], facts["field"], facts["lost"]
        if not isinstance(lost, dict) and not field:
            raise CannotUndo
        fields = {field: lost} if field else dict(lost)
        if seen.live(kind, entity_id) is not None:
            return Part(kind, entity_id, "put", fields)
        if kind not in _ANEW or "name" not in fields:
            raise CannotUndo
        return Part(kind, new_id(tx.now), "new", fields)

    def _view(self, reader: Reader, conflict: Entity) -> ConflictView:
        it = conflict.fields
        return ConflictView(
            conflict.id,
            it["kind"],
            it["id"],
            it["field"],
            it["why"],
            self._side(reader, it.get("lost"), it.get("lost_by"), it.get("lost_at")),
            self._side(reader, it.get("kept"), it.get("kept_by"), it.get("kept_at")),
            it.get("state", "open"),
        )

    def _side(self, reader: Reader, value: Any, key: str | None, at: int | None) -> Side:
        account_id = self._people.account_of_in(reader, key) if key else None
        name = self._people.name_of(account_id)
        return Side(value, account_id, name, None if at is None else to_time(at))


def _found(reader: Reader, home_id: str, conflict_id: str) -> Entity:
    conflict = queries.entity(reader, home_id, "conflict", conflict_id)
    if conflict is None or conflict.dead is not None:
        raise NotFound
    return _shown(conflict, outbox_queries.settled_here(reader, home_id))


def _shown(conflict: Entity, here: dict[str, str]) -> Entity:
    """As it is with what waits for the authority."""
    state = here.get(conflict.id)
    return conflict if state is None else replace(conflict, fields={**conflict.fields, "state": state})
