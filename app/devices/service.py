"""Devices as other nouns, links and faces use them: the registry, the shadow, presence and views over one memory."""

from app.devices.absences import Absences
from app.devices.access import Access
from app.devices.credentials import DeviceCredentials
from app.devices.freezing import Freezing
from app.devices.handing import Handing
from app.devices.memory import Memory
from app.devices.names import Names
from app.devices.presence import Presence
from app.devices.product.catalogue import Catalogue
from app.devices.registry import Registry
from app.devices.resets import Resets
from app.devices.sensors import Sensors
from app.devices.shadows import Shadows
from app.devices.transfers import Transfers
from app.devices.users import DeviceUsers
from app.devices.views import Views
from app.homes.standing import Standings
from app.journal.service import Journal
from app.store.store import Store


class Devices:
    """Every part, and by name what others ask most."""

    def __init__(self, store: Store, standings: Standings, catalogue: Catalogue, journal: Journal) -> None:
        self.catalogue = catalogue
        self.memory = memory = Memory(store)
        self.access = access = Access(standings, memory)
        self.absences = absences = Absences(store, memory, journal)
        self.presence = Presence(store, memory, journal, absences)
        self.registry = Registry(
            store, standings=standings, memory=memory, access=access, catalogue=catalogue, journal=journal
        )
        self.shadows = Shadows(
            store, memory=memory, access=access, catalogue=catalogue, journal=journal, presence=self.presence
        )
        self.freezing = Freezing(
            store, memory=memory, registry=self.registry, presence=self.presence, absences=absences
        )
        self.names = Names(store, memory=memory, access=access, catalogue=catalogue, registry=self.registry)
        self.users = DeviceUsers(store, access, self.registry)
        self.handing = Handing(store, memory=memory, access=access, registry=self.registry)
        self.transfers = Transfers(store, memory=memory, registry=self.registry, journal=journal)
        self.credentials = credentials = DeviceCredentials(store, memory, self.registry)
        self.resets = Resets(store, memory=memory, access=access, registry=self.registry, credentials=credentials)
        self.sensors = Sensors(store, self.registry)
        self.views = Views(store, memory, access)
        self.bind_in = self.registry.bind_in
        self.remove_in = self.registry.remove_in
        self.on_leaving = self.registry.on_leaving
        self.on_left = self.registry.on_left
        self.reported = self.shadows.reported
        self.reported_in = self.shadows.reported_in
        self.on_unbinding = self.resets.on_unbinding
        self.was_reset = self.resets.by_hand
        self.online = self.presence.online
        self.offline = self.presence.offline
        self.view_bytes = self.views.view_bytes
        self.is_frozen = memory.is_frozen
        self.demand_unfrozen_in = memory.demand_unfrozen_in
        self.of_hardware = memory.of_hardware
        self.hardware = memory.hardware
        self.bond_of = memory.bonds.get
        self.transfers.on_moving.append(absences.moving_in)
        self.on_left.append(lambda device: self.presence.lost(device.id))

    def close(self) -> None:
        """The hub ends."""
        self.presence.close()
