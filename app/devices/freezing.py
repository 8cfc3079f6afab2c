"""Freezing: a device is kept out of every link, and nothing can be asked of it, until somebody unfreezes it.

After IoTDA (1.4.2.7, error 014018) and the `freeze` of Tuya's things. A device behind a gateway is frozen by itself; a
frozen gateway keeps out what is behind it, for there is no other way to that.
"""

from collections.abc import Callable
from functools import partial

from app.caller import Caller
from app.devices import queries
from app.devices.absences import Absences
from app.devices.changes import change
from app.devices.memory import Memory
from app.devices.model import Device, DeviceEntry, entry_of
from app.devices.presence import Presence
from app.devices.registry import OnLeaving, Registry
from app.journal.model import Kind
from app.policy import Action
from app.store.store import Store
from app.store.tx import Tx


class Freezing:
    """Told in the transaction: `on_freezing`. Told on the event loop, once it is on disk: `on_frozen`, `on_unfrozen`.

    A frozen gateway is told with each device behind it.
    """

    def __init__(
        self,
        store: Store,
        *,
        memory: Memory,
        registry: Registry,
        presence: Presence,
        absences: Absences,
    ) -> None:
        self._store = store
        self._memory = memory
        self._registry = registry
        self._presence = presence
        self._absences = absences
        self.on_freezing: list[OnLeaving] = []
        self.on_frozen: list[Callable[[Device], None]] = []
        self.on_unfrozen: list[Callable[[Device], None]] = []

    async def freeze(self, by: Caller, device_id: str) -> DeviceEntry:
        """Keep it out from now on; what it was still to do has failed.

        Raises NotFound, Refused, VersionMismatch, DeviceUnbound.
        """
        return await self._store.write(
            lambda tx: self.set_in(tx, by, device_id, frozen=True), once=by.once, returns=DeviceEntry
        )

    async def unfreeze(self, by: Caller, device_id: str) -> DeviceEntry:
        """Let it in again, when it next comes. Raises as `freeze`."""
        return await self._store.write(
            lambda tx: self.set_in(tx, by, device_id, frozen=False), once=by.once, returns=DeviceEntry
        )

    def set_in(self, tx: Tx, by: Caller, device_id: str, *, frozen: bool) -> DeviceEntry:
        """`freeze` or `unfreeze` inside `tx`; of what is so already nothing changes."""
        old = self._registry.changing_in(tx, by, Action.DEVICE_FREEZE, device_id)
        by.match(old.version)
        self._registry.demand_bound_in(tx, device_id)
        if (old.frozen_at is not None) == frozen:
            return entry_of(old)
        device = self._registry.replace_in(tx, old, frozen_at=tx.now if frozen else None)
        self.set_so_in(tx, by, device)
        return entry_of(device)

    def set_so_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """A device's entry says from now on that it is frozen, or that it is not: so it is."""
        frozen = device.frozen_at is not None
        kind, noted = ("device.frozen", Kind.FROZEN) if frozen else ("device.unfrozen", Kind.UNFROZEN)
        tx.record(by.actor, change(kind, device))
        self._registry.note_in(tx, by, device, noted)
        if frozen:
            self._keep_out_in(tx, by, device)
        else:
            behind = [each.id for each in queries.devices_where(tx, "gateway_id", device.id)]
            self._absences.begin_anew_in(tx, [device.id, *behind])
            tx.after(partial(_tell, self.on_unfrozen, device))

    def _keep_out_in(self, tx: Tx, by: Caller, device: Device) -> None:
        kept_out = [device, *queries.devices_where(tx, "gateway_id", device.id)]
        for each in kept_out:
            for told in self.on_freezing:
                told(tx, by, each)
        tx.after(partial(self._keep_out, kept_out))

    def _keep_out(self, devices: list[Device]) -> None:
        for device in devices:
            _tell(self.on_frozen, device)
            self._presence.lost(device.id)


def _tell(listeners: list[Callable[[Device], None]], device: Device) -> None:
    for told in listeners:
        told(device)
