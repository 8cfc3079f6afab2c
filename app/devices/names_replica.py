"""Names of parts of a device as a fact of its home (app/sync): one field for each named part, `service/property`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from app.caller import Caller
from app.devices import replica_queries as facts
from app.devices.changes import change
from app.devices.memory import Memory
from app.devices.model import Device
from app.store.tx import Reader, Tx
from app.sync.kinds import Fields, Item, Watch

# By service and property.
_Names: TypeAlias = Mapping[tuple[str, str], str]
_MOST_CHARACTERS: Final = 4_096


class NameFacts:
    """`app.sync.kinds.Kind` of `names`. A device of which nobody names anything any more has none that are empty."""

    name: Final = "names"
    watches: Final = (
        Watch(
            "device_names",
            "$.device_id",
            "(SELECT home_id FROM devices WHERE id=$.device_id)",
            ("device_id", "service", "property", "name"),
        ),
        # They go with the device, and to another home with it.
        Watch("devices", "$.id", "$.home_id", ("home_id",), inserted=False),
    )

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def read_in(self, reader: Reader, home_id: str, entity_id: str, known: Fields | None) -> dict[str, Any] | None:
        """See the Protocol. Where the last name goes the fact stays: others may be naming something meanwhile."""
        device = facts.devices(reader, [entity_id]).get(entity_id)
        if device is None or device.home_id != home_id:
            return None
        names = facts.names_of(reader, [entity_id]).get(entity_id, {})
        fields = {f"{service}/{part}": name for (service, part), name in names.items()}
        return None if known is None and not fields else fields

    def ids_in(self, reader: Reader, home_id: str) -> Iterable[str]:
        """See the Protocol."""
        return facts.named_in(reader, home_id)

    def refers(self, entity_id: str, fields: Fields) -> Iterable[tuple[str, str]]:
        """See the Protocol: the device."""
        return [("device", entity_id)]

    def put_in(self, tx: Tx, home_id: str, items: Sequence[Item]) -> None:
        """See the Protocol."""
        wanted = {item.id: item for item in items}
        here = {each.id: each for each in facts.devices(tx, wanted).values() if each.home_id == home_id}
        known = facts.names_of(tx, here)
        changing = {
            device.id: (known.get(device.id, {}), now)
            for device in here.values()
            if (now := _names(wanted[device.id].fields or {})) != known.get(device.id, {})
        }
        facts.drop_names(tx, [(it, *part) for it, (old, now) in changing.items() for part in old.keys() - now.keys()])
        facts.put_names(tx, [(it, *part, name) for it, (_, now) in changing.items() for part, name in now.items()])
        facts.raise_versions(tx, changing)
        now_here = facts.devices(tx, changing)
        for device_id, (old, now) in changing.items():
            self._tell_in(tx, wanted[device_id].by, now_here[device_id], old, now)

    def _tell_in(self, tx: Tx, by: Caller, device: Device, old: _Names, now: _Names) -> None:
        given = _by_service({part: now.get(part) for part in old.keys() | now.keys() if old.get(part) != now.get(part)})
        tx.record(by.actor, change("device.names_changed", device, {"names": given}))
        shown = {
            service: {part: name for part, name in names.items() if name is not None}
            for service, names in _by_service(now).items()
        }

        def show() -> None:
            self._memory.replaced(device)
            self._memory.named(device.id, shown)

        tx.after(show)


def _names(fields: Fields) -> dict[tuple[str, str], str]:
    """What can be one: a part of a service, and text."""
    found = {}
    for field, name in fields.items():
        service, _, part = field.partition("/")
        if service and part and isinstance(name, str) and 0 < len(name) <= _MOST_CHARACTERS:
            found[service, part] = name
    return found


def _by_service(names: Mapping[tuple[str, str], str | None]) -> dict[str, dict[str, str | None]]:
    found: dict[str, dict[str, str | None]] = {}
    for (service, part), name in sorted(names.items(), key=lambda each: each[0]):
        found.setdefault(service, {})[part] = name
    return found
