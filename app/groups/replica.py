"""Groups as facts of their home (app/sync): one field for each device in it, `device/<id>`: where it stands."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from app.clock import LAST_MS
from app.groups import queries
from app.groups.model import Group
from app.groups.service import Groups, change
from app.homes.queries import has_home
from app.policy import Role
from app.store.tx import Reader, Tx
from app.sync.kinds import Fields, Item, Watch, filled, fitting

_DEVICE: Final = "device/"
_FAR: Final = 2**53


class _GroupFact(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(max_length=4_096)] = ""
    icon: Annotated[str, Meta(max_length=4_096)] = ""
    least: Role = Role.GUEST
    created_at: Annotated[int, Meta(ge=0, le=LAST_MS)] = 0


class GroupFacts:
    """`app.sync.kinds.Kind` of `group`."""

    name: Final = "group"
    watches: Final = (
        Watch("groups", "$.id", "$.home_id", ("home_id", "name", "icon", "least", "created_at")),
        Watch(
            "group_devices",
            "$.group_id",
            "(SELECT home_id FROM groups WHERE id=$.group_id)",
            ("group_id", "device_id", "position"),
        ),
    )

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    def read_in(self, reader: Reader, home_id: str, entity_id: str, known: Fields | None) -> dict[str, Any] | None:
        """See the Protocol."""
        it = queries.group(reader, entity_id)
        if it is None or it.home_id != home_id:
            return None
        said = {"name": it.name, "icon": it.icon, "least": it.least.value, "created_at": it.created_at}
        places = queries.positions(reader, entity_id)
        standing = {f"{_DEVICE}{device_id}": places[device_id] for device_id in it.devices}
        return filled(said) | standing

    def ids_in(self, reader: Reader, home_id: str) -> Iterable[str]:
        """See the Protocol."""
        return sorted(queries.groups_in(reader, home_id))

    def refers(self, entity_id: str, fields: Fields) -> Iterable[tuple[str, str]]:
        """See the Protocol: its devices."""
        return [("device", device_id) for device_id in _positions(fields)]

    def put_in(self, tx: Tx, home_id: str, items: Sequence[Item]) -> None:
        """See the Protocol."""
        if not has_home(tx, home_id):
            return
        for item in items:
            old = queries.group(tx, item.id)
            if old is not None and old.home_id != home_id:
                continue
            fact = fitting(_GroupFact, item.fields)
            if fact is not None:
                self._put_in(tx, home_id, item, fact, old)
            elif item.fields is None and old is not None:
                self._groups.leave_in(tx, item.by, old)

    def _put_in(self, tx: Tx, home_id: str, item: Item, fact: _GroupFact, old: Group | None) -> None:
        wanted = _positions(item.fields or {})
        here = queries.those_in(tx, home_id, wanted)
        places = {device_id: wanted[device_id] for device_id in sorted(here, key=lambda it: (wanted[it], it))}
        now = replace(
            old or Group(item.id, home_id, "", "", Role.GUEST, version=0, created_at=0),
            name=fact.name,
            icon=fact.icon,
            least=fact.least,
            created_at=fact.created_at,
            devices=tuple(places),
        )
        if old == now and queries.positions(tx, item.id) == places:
            return
        now = replace(now, version=now.version + 1)
        queries.put_row(tx, now)
        queries.put_positions(tx, now.id, places)
        self._groups.access.groups.put(tx, now.id, now)
        told = {name: getattr(now, name) for name in ("name", "icon", "least", "devices")}
        if old is not None:
            told = {name: value for name, value in told.items() if getattr(old, name) != value}
        if told:
            tx.record(item.by.actor, change(now, "group.created" if old is None else "group.updated", told))


def _positions(fields: Fields) -> dict[str, int]:
    """Where each device is to stand."""
    found = {}
    for field, position in fields.items():
        kind, slash, device_id = field.partition("/")
        if kind + slash == _DEVICE and device_id and type(position) is int and abs(position) <= _FAR:
            found[device_id] = position
    return found
