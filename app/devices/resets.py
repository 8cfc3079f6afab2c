"""Factory resets: one act for every face, and the device's own word that it has forgotten.

In one transaction the device is unbound, what proved it is revoked, its shares and open commands end, and a reset waits
for the hardware, to be handed over by whatever link that next uses. What it proved itself with opens that one thing
until the device has acknowledged it, is paired again, or the reset expires.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from app.caller import BY_SYSTEM, Caller, demand
from app.devices import queries as device_queries
from app.devices import reset_queries as queries
from app.devices.access import Access
from app.devices.credential_model import Credential, of_bond
from app.devices.credentials import DeviceCredentials
from app.devices.memory import Memory
from app.devices.model import REGISTERED, BoundElsewhere, Device, NewDevice
from app.devices.registry import OnLeaving, Registry
from app.devices.reset_model import (
    EXPIRES_MS,
    KEEP_ENDED_MS,
    Departing,
    Record,
    Reset,
    ResetState,
    ResetView,
    view_of,
)
from app.errors import NotFound
from app.journal.model import Kind
from app.policy import SYSTEM, Action, Actor
from app.store.resident import Resident
from app.store.retention import demand_room
from app.store.store import Store
from app.store.tx import Change, Reader, Tx


class Resets:
    """`on_unbinding` is told within the transaction, of the device and of those behind it."""

    def __init__(
        self,
        store: Store,
        *,
        memory: Memory,
        access: Access,
        registry: Registry,
        credentials: DeviceCredentials,
    ) -> None:
        self._store = store
        self._memory = memory
        self._access = access
        self._registry = registry
        self._credentials = credentials
        self._departing: Resident[str, Departing] = Resident(
            lambda reader: queries.all_departing(reader, store.vault),
        )
        self._by_token: dict[bytes, str] = {}
        self._departing.watch(self._index)
        self._delivered = store.later(self._put_delivered)
        self.on_unbinding: list[OnLeaving] = [credentials.unbinding_in]
        self.on_ended: list[Callable[[Reset], None]] = []
        store.keep_resident(self._departing)
        registry.on_bound.append(self._bound_in)

    def start_housekeeping(self) -> None:
        """Have what is over expire; the store must be open."""
        self._store.housekeeping.register("resets", self._sweep)

    # asking

    async def reset(self, by: Caller, device_id: str, record: Record = Record.KEEP) -> ResetView:
        """Reset a device to factory settings. Raises NotFound, Refused, VersionMismatch, TooMany."""
        return await self._store.write(
            lambda tx: view_of(self.reset_in(tx, by, device_id, record)), once=by.once, returns=ResetView
        )

    def reset_in(self, tx: Tx, by: Caller, device_id: str, record: Record = Record.KEEP) -> Reset:
        """`reset` inside `tx`. A device that waits to be told is not told twice; its record may still be removed."""
        device = self._registry.changing_in(tx, by, Action.DEVICE_REMOVE, device_id)
        by.match(device.version)
        reset = queries.reset(tx, device.hardware_id)
        if reset is None or device.unbound_at is None:
            old = self._credentials.of_in(tx, device)
            reset = self._put_in(tx, by, device, record, old)
            self._unbind_in(tx, by, device)
        if record is Record.REMOVE:
            reset = self._move_in(tx, reset, record=record)
            self._registry.leave_in(tx, by, device)
        return reset

    async def by_hand(self, device_id: str) -> None:
        """The device said, within its link, that somebody reset it by hand: whoever holds it may bind it anew."""
        await self._store.write(lambda tx: self.by_hand_in(tx, device_id))

    def by_hand_in(self, tx: Tx, device_id: str) -> None:
        """`by_hand` inside `tx`."""
        device = device_queries.device(tx, device_id)
        # One that is frozen is not heard: what it says must not free it for another home.
        if device is None or device.unbound_at is not None or device.frozen_at is not None:
            return
        reset = self._put_in(tx, BY_SYSTEM, device, Record.KEEP, None)
        self._unbind_in(tx, BY_SYSTEM, device)
        device_queries.mark_binding(tx, device.hardware_id, "reset_at")
        self._end_in(tx, reset, ResetState.CONFIRMED)

    def _put_in(self, tx: Tx, by: Caller, device: Device, record: Record, old: Credential | None) -> Reset:
        queries.make_room(tx, device.home_id)
        demand_room(tx, "resets", device.home_id)
        reset = Reset(
            device.hardware_id,
            tx.new_id(),
            device.id,
            device.home_id,
            by.actor.account_id,
            record,
            ResetState.QUEUED,
            tx.now,
            tx.now + EXPIRES_MS,
        )
        queries.put(tx, self._store.vault, reset, old)
        self._departing.put(tx, reset.hardware_id, Departing(reset, old))
        data = {"name": device.name, "reset_id": reset.id, "record": record}
        tx.record(by.actor, _change("device.reset", reset, data))
        return reset

    def _unbind_in(self, tx: Tx, by: Caller, device: Device) -> None:
        for behind in device_queries.devices_where(tx, "gateway_id", device.id):
            if behind.unbound_at is None:
                self._unbind_in(tx, by, behind)
        self.use_ending_in(tx, by, device)
        self._registry.unbind_in(tx, by, device)

    def use_ending_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """A device is in no use any more, though in its home still."""
        for told in self.on_unbinding:
            told(tx, by, device)
        # What was wanted of it ends as its commands do; what it said of itself stays.
        self._memory.undesired(tx, device.id, device_queries.drop_desired(tx, device.id))
        self._registry.note_in(tx, by, device, Kind.RESET, hub="device")

    # what becomes of it

    def departing(self, hardware_id: str) -> Departing | None:
        """The reset that hardware is to hear of, with what it proves itself by; from memory."""
        found = self._departing.get(hardware_id)
        if found is None or found.reset.expires_at <= self._store.clock.now().ms:
            return None
        if found.credential is None and (bond := self._memory.bonds.get(hardware_id)) is not None:
            return Departing(found.reset, of_bond(bond))
        return found

    def by_token(self, token_hash: bytes) -> Departing | None:
        """The reset a revoked token of a device that calls home may still hear of; from memory."""
        return self.departing(self._by_token.get(token_hash, ""))

    def _index(self, hardware_id: str, old: Departing | None, new: Departing | None) -> None:
        if old is not None and old.credential is not None and old.credential.token_hash is not None:
            self._by_token.pop(old.credential.token_hash, None)
        if new is not None and new.credential is not None and new.credential.token_hash is not None:
            self._by_token[new.credential.token_hash] = hardware_id

    def delivered(self, hardware_id: str) -> None:
        """The device was told; kept soon, and only for the first time."""
        found = self._departing.get(hardware_id)
        if found is not None and found.reset.state is ResetState.QUEUED:
            self._delivered.add(hardware_id)

    def _put_delivered(self, tx: Tx, hardware_ids: list[str]) -> None:
        for hardware_id in set(hardware_ids):
            reset = queries.reset(tx, hardware_id)
            if reset is not None and reset.state is ResetState.QUEUED:
                self._move_in(tx, reset, state=ResetState.DELIVERED, delivered_at=tx.now)

    async def confirmed(self, hardware_id: str, reset_id: str | None = None) -> None:
        """The device said, by what proved it, that it has forgotten everything.

        `reset_id` where it names which reset it means: a newer one is not confirmed by that.
        """
        if hardware_id in self._departing:
            await self._delivered.flush()
            await self._store.write(lambda tx: self.confirmed_in(tx, hardware_id, reset_id))

    def confirmed_in(self, tx: Tx, hardware_id: str, reset_id: str | None = None) -> None:
        """`confirmed` inside `tx`; what has ended stays as it ended."""
        reset = queries.reset(tx, hardware_id)
        if reset is not None and not reset.state.ended and reset_id in (None, reset.id):
            self._end_in(tx, reset, ResetState.CONFIRMED)

    def _bound_in(self, tx: Tx, by: Caller, device: Device, new: NewDevice) -> None:
        """It is in a home again. Only what proved itself by a key is known to have forgotten.

        Raises BoundElsewhere: a name let in by hand does not call off the wipe that another home waits for.
        """
        reset = queries.reset(tx, device.hardware_id)
        if reset is None or reset.state.ended:
            return
        proved = new.trust != REGISTERED
        if not proved and reset.home_id != device.home_id:
            raise BoundElsewhere
        self._end_in(tx, reset, ResetState.CONFIRMED if proved else ResetState.SUPERSEDED)

    def called_off_in(self, tx: Tx, hardware_id: str) -> None:
        """That hardware is in a home again, let in by another hub: what is to be forgotten is no more."""
        reset = queries.reset(tx, hardware_id)
        if reset is not None and not reset.state.ended:
            self._end_in(tx, reset, ResetState.SUPERSEDED)

    def _end_in(self, tx: Tx, reset: Reset, state: ResetState) -> Reset:
        delivered_at = reset.delivered_at or (tx.now if state is ResetState.CONFIRMED else None)
        return self._move_in(tx, reset, state=state, ended_at=tx.now, delivered_at=delivered_at)

    def _move_in(self, tx: Tx, reset: Reset, **fields: Any) -> Reset:
        moved = msgspec.structs.replace(reset, **fields)
        queries.move(tx, self._store.vault, moved)
        if moved.state.ended:
            self._departing.drop(tx, moved.hardware_id)
            tx.after(lambda: self._tell_ended(moved))
        else:
            tx.after(lambda: self._show(moved))
        if moved.state is not reset.state:
            data = {"reset_id": reset.id, "state": moved.state}
            tx.record(SYSTEM, _change(f"device.reset_{moved.state.value}", moved, data))
        return moved

    def _show(self, reset: Reset) -> None:
        if (found := self._departing.get(reset.hardware_id)) is not None:
            self._departing.change(reset.hardware_id, msgspec.structs.replace(found, reset=reset))

    def _tell_ended(self, reset: Reset) -> None:
        for told in self.on_ended:
            told(reset)

    def _sweep(self, tx: Tx) -> int:
        overdue = queries.overdue(tx, tx.now) if tx.moment.trusted else []
        for reset in overdue:
            self._end_in(tx, reset, ResetState.EXPIRED)
        return len(overdue) or queries.forget_ended(tx, tx.now - KEEP_ENDED_MS)

    # reading

    async def of_device(self, actor: Actor, device_id: str) -> ResetView:
        """The newest reset of a device that is still in its home; raises NotFound (none was asked for), Refused."""
        resource = self._access.device(actor, device_id)
        demand(actor, Action.DEVICE_JOURNAL, resource, self._store.clock.now())
        found = await self._store.read(lambda reader: queries.reset_of_device(reader, device_id))
        if found is None or found.home_id != resource.home_id:
            raise NotFound
        return view_of(found)

    async def in_home(self, actor: Actor, home_id: str, before: str | None, limit: int) -> list[ResetView]:
        """The resets of a home's devices, also of those that left it, newest first; raises NotFound, Refused."""
        resource = self._access.standings.home(actor, home_id)
        demand(actor, Action.AUDIT_READ, resource, self._store.clock.now())

        def read(reader: Reader) -> list[Reset]:
            return queries.resets_in(reader, home_id, before, limit)

        return [view_of(reset) for reset in await self._store.read(read)]


def _change(kind: str, reset: Reset, data: dict[str, Any]) -> Change:
    return Change(kind, "device", reset.device_id, reset.home_id, Action.DEVICE_READ, data, device_id=reset.device_id)
