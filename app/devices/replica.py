"""Devices as facts of their home (app/sync): between their tables and memory, and the fields of their entities.

A device that another hub holds stands here to be read, and to be controlled through that hub: nothing proves it to this
one. What was decided elsewhere has here the effects it has where it is done: a device that is frozen is kept out, one
that was let go is told so by the hub that holds it.
"""

from collections.abc import Container, Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from app.caller import Caller
from app.devices import queries
from app.devices import replica_queries as facts
from app.devices.changes import change
from app.devices.memory import Live
from app.devices.model import Device
from app.devices.replica_model import (
    FIELDS,
    DeviceFact,
    changed,
    entered,
    fact_of,
    fields_of,
    inside_changes,
    shown_changes,
)
from app.devices.replica_queries import Binding
from app.devices.service import Devices
from app.errors import DoorstepError
from app.homes.queries import has_home
from app.policy import Action
from app.store.hub import read_hub
from app.store.tx import Reader, Tx
from app.sync.kinds import Fields, Item, Watch

_HOLDS = "SELECT id, home_id FROM devices WHERE hardware_id=$.hardware_id"


class _Put(Struct, frozen=True):
    """A device as it is to be, and by whom."""

    id: str
    fact: DeviceFact
    by: Caller


class _Step(Struct, frozen=True):
    """What becomes of a row; `old` None: it is new."""

    old: Device | None
    now: Device
    by: Caller


class DeviceFacts:
    """`app.sync.kinds.Kind` of `device`."""

    name: Final = "device"
    watches: Final = (
        Watch("devices", "$.id", "$.home_id", ("home_id", *FIELDS)),
        Watch("bindings", columns=("public_key", "owner_epoch"), many=_HOLDS),
    )

    def __init__(self, devices: Devices) -> None:
        self._memory = devices.memory
        self._registry = devices.registry
        self._transfers = devices.transfers
        self._freezing = devices.freezing
        self._resets = devices.resets
        self._handing = devices.handing

    def read_in(self, reader: Reader, home_id: str, entity_id: str, known: Fields | None) -> dict[str, Any] | None:
        """See the Protocol."""
        found = facts.fact(reader, home_id, entity_id)
        return None if found is None else fields_of(*found)

    def ids_in(self, reader: Reader, home_id: str) -> Iterable[str]:
        """See the Protocol."""
        return facts.ids_in(reader, home_id)

    def refers(self, entity_id: str, fields: Fields) -> Iterable[tuple[str, str]]:
        """See the Protocol: its room, and the gateway it is behind."""
        meant = (("room", fields.get("room_id")), ("device", fields.get("gateway_id")))
        return [(kind, refers_to) for kind, refers_to in meant if isinstance(refers_to, str)]

    def put_in(self, tx: Tx, home_id: str, items: Sequence[Item]) -> None:
        """See the Protocol. What must leave does so last: what was behind it may have gone elsewhere.

        A device is not taken from what is bound under a higher owner epoch: that is the newer of both.
        """
        if not has_home(tx, home_id):
            return
        gone = {item.id: item.by for item in items if item.fields is None}
        puts = [_Put(item.id, fact, item.by) for item in items if (fact := fact_of(item.fields or {})) is not None]
        puts = self._make_way_in(tx, home_id, puts, gone)
        if puts:
            self._put_in(tx, home_id, puts, gone)
        for device_id, by in gone.items():
            device = queries.device(tx, device_id)
            if device is not None and device.home_id == home_id:
                self._registry.leave_in(tx, by, device)

    # what is in the way

    def _make_way_in(self, tx: Tx, home_id: str, puts: list[_Put], gone: dict[str, Caller]) -> list[_Put]:
        """Those of `puts` that can be; what else has their hardware has left, what is in another home has come."""
        # Of two of the same hardware the one that was bound last.
        newest = {put.id: put for put in puts}
        owners = {put.fact.hardware_id: put for put in sorted(newest.values(), key=_binding_order)}
        wanted = {put.id: put for put in owners.values()}
        for row in facts.meant(tx, wanted, owners):
            put = owners.get(row.hardware_id) or wanted.get(row.id)
            if put is None or (put.id == row.id and put.fact.hardware_id == row.hardware_id and row.home_id == home_id):
                continue
            going = row.id in gone or (row.id in newest and row.id != put.id)
            if put.fact.hardware_id == row.hardware_id and row.owner_epoch > put.fact.owner_epoch and not going:
                wanted.pop(put.id, None)
            elif put.id == row.id and put.fact.hardware_id == row.hardware_id:
                self._fetch_in(tx, home_id, put, row)
            elif row.home_id != home_id and put.fact.hardware_id != row.hardware_id:
                wanted.pop(put.id, None)  # an id of another home's: naming it takes nothing
            else:
                self._leave_in(tx, put.by, row)
        return list(wanted.values())

    def _fetch_in(self, tx: Tx, home_id: str, put: _Put, row: Device) -> None:
        """A device has gone to this home from another."""
        places = {"home_id": home_id, "room_id": None, "gateway_id": None}
        try:
            self._transfers.moved_in(tx, put.by, row, owner_epoch=put.fact.owner_epoch, **places)
        except DoorstepError:
            # Of a kind that cannot be moved: it is new here.
            self._leave_in(tx, put.by, row)

    def _leave_in(self, tx: Tx, by: Caller, row: Device) -> None:
        # It may have left with its gateway.
        if queries.device(tx, row.id) is not None:
            self._registry.leave_in(tx, by, row)

    # the rows

    def _put_in(self, tx: Tx, home_id: str, puts: list[_Put], gone: Container[str]) -> None:
        hub_id = read_hub(tx).hub_id
        steps = _steps(tx, home_id, puts, gone, hub_id)
        queries.insert_devices(tx, [step.now for step in steps if step.old is None])
        queries.update_devices(tx, [step.now for step in steps if step.old is not None])
        tx.after(lambda: self._show(steps))
        rebound = self._bind_in(tx, puts)
        if changing := sorted(rebound | {step.now.hardware_id for step in steps if step.old is None}):
            self._memory.rebond_in(tx, changing)
        for step in steps:
            self._tell_in(tx, step)

    def _show(self, steps: list[_Step]) -> None:
        for step in steps:
            if step.old is None:
                self._memory.devices.change(step.now.id, Live(step.now, {}, None))
            else:
                self._memory.replaced(step.now)

    def _bind_in(self, tx: Tx, puts: list[_Put]) -> set[str]:
        """The bindings of `puts` are in force, unless a newer one is; returns the hardware of those that changed."""
        known = facts.bindings(tx, [put.fact.hardware_id for put in puts])
        changing: dict[str, Binding] = {}
        for fact in (put.fact for put in puts):
            old = known.get(fact.hardware_id)
            key = None if fact.public_key is None else bytes.fromhex(fact.public_key)
            new = Binding(fact.owner_epoch, key, fact.unbound_at)
            if old is None or (old != new and old.owner_epoch <= new.owner_epoch):
                changing[fact.hardware_id] = new
            if old is not None and old.owner_epoch < new.owner_epoch and new.unbound_at is None:
                self._resets.called_off_in(tx, fact.hardware_id)
        facts.put_bindings(tx, changing.items())
        return set(changing)

    # what is told, and what follows

    def _tell_in(self, tx: Tx, step: _Step) -> None:
        old, now, by = step.old, step.now, step.by
        if old is None or (old.unbound_at is not None and now.unbound_at is None):
            kind = "device.added" if old is None else "device.rebound"
            tx.record(by.actor, change(kind, now, {"product_id": now.product_id, "name": now.name}))
        if old is None:
            return
        if shown := shown_changes(old, now):
            tx.record(by.actor, change("device.updated", now, shown))
        if inside := inside_changes(old, now):
            tx.record(by.actor, change("device.updated", now, inside, Action.ROOM_READ))
        if old.room_id != now.room_id:
            tx.record(by.actor, change("device.moved", now, {"room_id": now.room_id}, Action.ROOM_READ))
        if (old.frozen_at is None) != (now.frozen_at is None):
            self._freezing.set_so_in(tx, by, now)
        if old.unbound_at is None and now.unbound_at is not None:
            self._resets.use_ending_in(tx, by, now)
            tx.record(by.actor, change("device.unbound", now, {"name": now.name}))
            self._registry.let_go_in(tx, old)
        elif old.holder != now.holder and not self._memory.holds(now):
            # From this hub to another, or between two others.
            self._registry.let_go_in(tx, old)
        if _hubs(old) != _hubs(now):
            self._handing.told_in(tx, now)


def _hubs(device: Device) -> tuple[str | None, str | None]:
    return device.holder, device.standby


def _binding_order(put: _Put) -> tuple[int, str]:
    return put.fact.owner_epoch, put.id


def _steps(tx: Tx, home_id: str, puts: list[_Put], gone: Container[str], hub_id: str | None) -> list[_Step]:
    """What changes, gateways before what is behind them; rooms and gateways that are not there, or go, are left out."""
    known = facts.devices(tx, [put.id for put in puts])
    rooms = facts.rooms(tx, home_id)
    gateways = {it for it in _gateways(tx, home_id, puts) if it not in gone}
    steps: list[_Step] = []
    for put in sorted(puts, key=lambda put: put.fact.gateway_id is not None):
        fact, old = put.fact, known.get(put.id)
        places = {
            "room_id": fact.room_id if fact.room_id in rooms else None,
            "gateway_id": fact.gateway_id if fact.gateway_id in gateways and fact.gateway_id != put.id else None,
        }
        if old is None:
            now: Device | None = entered(fact, put.id, home_id, tx.now, **places)
        else:
            now = changed(old, fact, hub_id, tx.now, **places)
        if now is not None:
            steps.append(_Step(old, now, put.by))
    return steps


def _gateways(tx: Tx, home_id: str, puts: list[_Put]) -> set[str]:
    """Those that are named as gateways and are behind none: so nothing is ever behind itself."""
    behind = {put.id: put.fact.gateway_id for put in puts}
    named = {gateway_id for gateway_id in behind.values() if gateway_id is not None}
    here = facts.devices(tx, named - behind.keys()) if named else {}
    behind |= {each.id: each.gateway_id for each in here.values() if each.home_id == home_id}
    return {gateway_id for gateway_id in named if gateway_id in behind and behind[gateway_id] is None}
