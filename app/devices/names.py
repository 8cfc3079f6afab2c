"""What people call parts of a device: its data points, and among them its outlets, which are no other thing."""

from collections.abc import Mapping
from functools import partial
from typing import TypeAlias

from msgspec import Struct

from app.caller import Caller, demand
from app.devices import name_queries as queries
from app.devices.access import Access
from app.devices.changes import change
from app.devices.memory import Memory
from app.devices.model import Device
from app.devices.product.catalogue import Catalogue
from app.devices.product.outlets import Outlet, outlets
from app.devices.registry import Registry
from app.errors import Invalid, NotFound
from app.policy import Action, Actor
from app.store.store import Store
from app.store.tx import Tx

# By service and property; None: as the product has it again.
Given: TypeAlias = Mapping[str, Mapping[str, str | None]]


class PropertyUnknown(Invalid):
    """The device has no such property."""

    code = "property_unknown"


class DeviceNames(Struct, frozen=True):
    """Names that people gave, by service and property, and every outlet as it is called. `version`: the device's."""

    version: int
    names: dict[str, dict[str, str]]
    outlets: list[Outlet]


class Names:
    """Each raises NotFound, Refused."""

    def __init__(
        self, store: Store, *, memory: Memory, access: Access, catalogue: Catalogue, registry: Registry
    ) -> None:
        self._store = store
        self._memory = memory
        self._access = access
        self._catalogue = catalogue
        self._registry = registry

    def of(self, actor: Actor, device_id: str) -> DeviceNames:
        """As they are."""
        demand(actor, Action.DEVICE_READ, self._access.device(actor, device_id), self._store.clock.now())
        if (live := self._memory.get(device_id)) is None:
            raise NotFound
        return self._shown(live.device, live.names)

    async def give(self, by: Caller, device_id: str, given: Given) -> DeviceNames:
        """Change some; the others stay. Raises PropertyUnknown, VersionMismatch besides."""
        return await self._store.write(
            lambda tx: self.give_in(tx, by, device_id, given), once=by.once, returns=DeviceNames
        )

    def give_in(self, tx: Tx, by: Caller, device_id: str, given: Given) -> DeviceNames:
        """`give` inside `tx`."""
        old = self._registry.changing_in(tx, by, Action.DEVICE_UPDATE, device_id)
        by.match(old.version)
        self._check(old, given)
        for service, names in given.items():
            queries.put_names(tx, device_id, service, names)
        device = self._registry.replace_in(tx, old)
        tx.record(by.actor, change("device.names_changed", device, {"names": given}))
        now = queries.names(tx, device_id)
        tx.after(partial(self._memory.named, device_id, now))
        return self._shown(device, now)

    def _check(self, device: Device, given: Given) -> None:
        product = self._catalogue.get(device.product_id)
        for service_id, names in given.items():
            service = None if product is None else product.service(service_id)
            for name in names:
                if service is None or service.property(name) is None:
                    raise PropertyUnknown(f"{service_id}.{name}: the device has no such property")

    def _shown(self, device: Device, names: dict[str, dict[str, str]]) -> DeviceNames:
        product = self._catalogue.get(device.product_id)
        found = () if product is None else outlets(product)
        called = [
            Outlet(it.identifier, it.service, it.property, names.get(it.service, {}).get(it.property, it.name))
            for it in found
        ]
        return DeviceNames(device.version, names, called)
