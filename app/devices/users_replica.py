"""The people a device tells apart, each as a fact of its home (app/sync)."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from app.clock import LAST_MS
from app.devices import replica_queries as facts
from app.devices import user_queries as queries
from app.devices.model import Device
from app.devices.replica_model import Id, Text, Whole
from app.devices.user_model import FIRST_MS, DeviceUser, Sex
from app.devices.users import record_in
from app.store.tx import Reader, Tx
from app.sync.kinds import Fields, Item, Watch, filled, fitting

_FIELDS: Final = ("device_id", "nick_name", "sex", "birthday", "height", "weight", "contact")


class _UserFact(Struct, frozen=True, kw_only=True):
    device_id: Id
    nick_name: Text = ""
    sex: Sex
    birthday: Annotated[int, Meta(ge=FIRST_MS, le=LAST_MS)] | None = None
    height: Whole | None = None
    weight: Whole | None = None
    contact: Text = ""


class DeviceUserFacts:
    """`app.sync.kinds.Kind` of `device_user`."""

    name: Final = "device_user"
    watches: Final = (Watch("device_users", "$.id", "(SELECT home_id FROM devices WHERE id=$.device_id)", _FIELDS),)

    def read_in(self, reader: Reader, home_id: str, entity_id: str, known: Fields | None) -> dict[str, Any] | None:
        """See the Protocol."""
        found = facts.user(reader, home_id, entity_id)
        if found is None:
            return None
        return filled({name: getattr(found, name) for name in _FIELDS} | {"sex": found.sex.value})

    def ids_in(self, reader: Reader, home_id: str) -> Iterable[str]:
        """See the Protocol."""
        return facts.user_ids_in(reader, home_id)

    def refers(self, entity_id: str, fields: Fields) -> Iterable[tuple[str, str]]:
        """See the Protocol: the device."""
        device_id = fields.get("device_id")
        return [("device", device_id)] if isinstance(device_id, str) else []

    def put_in(self, tx: Tx, home_id: str, items: Sequence[Item]) -> None:
        """See the Protocol. Nobody is of a device that is not there."""
        wanted = {item.id: (item, _fact(item.fields)) for item in items}
        known = facts.users(tx, wanted)
        named = {fact.device_id for _, fact in wanted.values() if fact is not None}
        devices = facts.devices(tx, named | {old.device_id for old in known.values()})
        here = {each.id: each for each in devices.values() if each.home_id == home_id}
        for user_id, (item, fact) in wanted.items():
            old = known.get(user_id)
            if old is not None and old.device_id not in here:
                continue
            if fact is not None and fact.device_id in here:
                _put_in(tx, item, fact, here, old)
            elif old is not None and (fact is not None or item.fields is None):
                # Gone, or of a device that is not there yet: of the former it is no more.
                queries.delete(tx, user_id)
                record_in(tx, item.by, here[old.device_id], "device.user_removed", user_id)


def _put_in(tx: Tx, item: Item, fact: _UserFact, here: dict[str, Device], old: DeviceUser | None) -> None:
    said = {name: getattr(fact, name) for name in _FIELDS}
    if old is not None and all(getattr(old, name) == value for name, value in said.items()):
        return
    now = DeviceUser(id=item.id, version=1 if old is None else old.version + 1, **said)
    if old is None or old.device_id != now.device_id:
        queries.delete(tx, now.id)
        queries.insert(tx, now)
    else:
        queries.update(tx, now)
    verb = "device.user_added" if old is None else "device.user_changed"
    record_in(tx, item.by, here[now.device_id], verb, now.id)


def _fact(fields: Fields | None) -> _UserFact | None:
    return None if fields is None else fitting(_UserFact, filled(fields))
