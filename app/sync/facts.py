"""Between the log and the tables: entities put where their nouns keep them, in an order that fits (PROTOCOL.md 2)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from app.caller import Caller
from app.store.tx import Tx
from app.sync import behind_queries, reference_queries
from app.sync.kinds import RANK, Item, Kind
from app.sync.model import Entity

Key = tuple[str, str]
# The entity as this node shows it, and the key of who made it so.
Shown = tuple[Mapping[str, Any] | None, str]
# Of what comes from another node so much is shown with the log itself: about 10 ms of the writer's time.
AT_ONCE: Final = 64
# What there are thousands of in a home, and nobody's rights.
MANY: Final = frozenset({"device", "names"})


class Facts:
    """Every kind by its name. `caller_of` is whom a key names, for the audit trail."""

    def __init__(self, kinds: Sequence[Kind], caller_of: Callable[[Tx, str], Caller]) -> None:
        self.kinds = {kind.name: kind for kind in kinds}
        self._caller_of = caller_of
        # (home, kind, id) of what was put since this was last asked: what else has changed with it came of it.
        self.put: set[tuple[str, str, str]] = set()
        # Told inside the act: something is to be shown later (`app.sync.behind`).
        self.on_behind: list[Callable[[Tx], None]] = []

    def show_in(
        self, tx: Tx, home_id: str, keys: Iterable[Key], shown: Callable[[str, str], Shown], *, at_once: bool = True
    ) -> None:
        """Make the tables show these entities as `shown` says, and what waited for those that are there now.

        Without `at_once`, of many those that are nobody's rights follow in acts of their own (PROTOCOL.md 2).
        """
        todo, shown = dict.fromkeys(keys), cache(shown)
        if not at_once:
            self._leave_behind_in(tx, home_id, todo)
        for key in tuple(todo) if reference_queries.anything_hangs(tx, home_id) else ():
            if key[0] in self.kinds and shown(*key)[0] is not None:
                todo.update(dict.fromkeys(reference_queries.released(tx, home_id, *key)))
        by_kind: dict[str, list[Item]] = {}
        callers: dict[str, Caller] = {}
        for kind, entity_id in todo:
            if kind not in self.kinds:
                continue
            self.put.add((home_id, kind, entity_id))
            fields, actor = shown(kind, entity_id)
            if actor not in callers:
                callers[actor] = self._caller_of(tx, actor)
            by_kind.setdefault(kind, []).append(Item(entity_id, fields, callers[actor]))
        self._put_in(tx, home_id, by_kind, shown)

    def _leave_behind_in(self, tx: Tx, home_id: str, todo: dict[Key, None]) -> None:
        behind = [key for key in todo if key[0] in MANY]
        if len(behind) <= AT_ONCE:
            return
        behind_queries.put(tx, home_id, behind)
        for key in behind:
            del todo[key]
        for told in self.on_behind:
            told(tx)

    def _put_in(self, tx: Tx, home_id: str, by_kind: dict[str, list[Item]], shown: Callable[[str, str], Shown]) -> None:
        order = sorted(by_kind, key=RANK.__getitem__)
        for name in reversed(order):
            gone = [item for item in by_kind[name] if item.fields is None]
            if gone:
                self.kinds[name].put_in(tx, home_id, gone)
        for name in order:
            there = [item for item in by_kind[name] if item.fields is not None]
            if there:
                self.kinds[name].put_in(tx, home_id, there)
                self._hang_in(tx, home_id, name, there, shown)

    def _hang_in(
        self, tx: Tx, home_id: str, name: str, items: Sequence[Item], shown: Callable[[str, str], Shown]
    ) -> None:
        refers = self.kinds[name].refers
        wanted = {item.id: on for item in items if (on := [*refers(item.id, item.fields or {})])}
        if not wanted:
            return
        unshown = behind_queries.among(tx, home_id, {on for several in wanted.values() for on in several})
        for entity_id, several in wanted.items():
            if missing := [on for on in several if on in unshown or shown(*on)[0] is None]:
                reference_queries.hang(tx, home_id, name, entity_id, missing)


def shown_of(entity: Entity | None) -> Shown:
    """As the authority shows it."""
    if entity is None:
        return None, ""
    if entity.dead is not None:
        return None, entity.dead.actor
    fields = {name: value for name, value in entity.fields.items() if value is not None}
    return fields, entity.last.actor
