"""Everything that makes a device that speaks IoTDA's protocol one of the hub's, over one set of services."""

from typing import Final

from app.caller import Caller
from app.control.service import Control
from app.devices.model import Device
from app.devices.service import Devices
from app.journal.service import Journal
from app.links.iotda.address import Address
from app.links.iotda.admission import IotdaAddressing, IotdaAdmission, Proving
from app.links.iotda.blobs import Blobs
from app.links.iotda.children import Children
from app.links.iotda.configs import Configs
from app.links.iotda.downwards import LINK, Downwards
from app.links.iotda.farewells import Farewells
from app.links.iotda.files import Files
from app.links.iotda.https import LINK as HTTPS_LINK
from app.links.iotda.https import HttpsSide, NothingDown
from app.links.iotda.messages import Budget, Messages
from app.links.iotda.packages import Packages
from app.links.iotda.reports import Reports
from app.links.iotda.shadows import ShadowAnswers
from app.links.iotda.speaking import Handlers
from app.links.iotda.telling import Telling
from app.links.iotda.upgrades import Upgrades
from app.links.iotda.upwards import Upwards
from app.links.iotda.whose import Whose
from app.links.mqtt import keeping
from app.store.store import Store
from app.store.tx import Tx

# In the data folder.
PACKAGES: Final = "packages"
FILES: Final = "files"
# And for X.509 devices (1.4.17): without it no certificate is asked for.
AUTHORITIES: Final = "device-authorities.pem"


class Iotda:
    """`admission` and `hearing` go to an MQTT link, which is then given to `down.take_link`.

    `address` is where devices reach the hub's HTTPS; told once it listens.
    """

    def __init__(self, store: Store, devices: Devices, control: Control, journal: Journal) -> None:
        self._authorities = store.path.parent / AUTHORITIES
        self.whose = whose = Whose(devices)
        self.proving = Proving(devices, store.clock, devices.is_frozen)
        self.admission = IotdaAdmission(self.proving)
        self.addressing = IotdaAddressing(self.proving)
        self.down = Downwards(whose, store.clock, control.acknowledged_soon)
        self.budget = Budget()
        self.reports = Reports(devices, whose)
        self.messages = Messages(journal, self.budget)
        self.children = Children(store, devices, whose, self.down)
        self.telling = Telling(devices, journal, store.clock, self.down, self.budget)
        blobs = store.path.parent
        self.address = Address()
        self.packages = Packages(store, devices.catalogue, Blobs(blobs / PACKAGES))
        self.upgrades = Upgrades(
            store,
            devices.access,
            journal,
            packages=self.packages,
            telling=self.telling,
            down=self.down,
            address=self.address,
        )
        self.files = Files(
            store,
            devices.access,
            journal,
            blobs=Blobs(blobs / FILES),
            down=self.down,
            address=self.address,
        )
        self.configs = Configs(store, devices.access, journal, self.down)
        arrived = store.later(self._arrived)
        upwards = Upwards(
            store,
            devices,
            control,
            journal,
            whose=whose,
            down=self.down,
            reports=self.reports,
            messages=self.messages,
            shadows=ShadowAnswers(devices, whose, self.down),
            handlers=self._handlers(),
        )
        for coming in (upwards.on_connected, self.children.on_there, self.reports.on_there):
            coming.append(arrived.add)
        self.hearing = Farewells(devices.resets, upwards, self.down)
        devices.on_leaving.append(self.files.leaving_in)
        devices.transfers.on_moving.append(self.files.moving_in)
        devices.transfers.on_moving.append(_moving_in)
        self.https = HttpsSide(store, devices, self.proving, self.reports, self.messages)
        control.links[LINK] = self.down
        control.links[HTTPS_LINK] = NothingDown()
        devices.credentials.on_changed.append(self.down.drop)
        for told in (devices.on_leaving, devices.on_unbinding, devices.transfers.on_moving):
            told.append(_sessions_ending_in)
        devices.on_left.append(lambda device: self.hearing.forget(device.id))
        devices.transfers.on_moved.append(lambda device: self.hearing.forget(device.id))
        devices.freezing.on_frozen.append(lambda device: self.down.drop(device.id))
        devices.on_left.append(lambda device: self.budget.forget(device.id))

    def start_housekeeping(self) -> None:
        """Begin what runs by itself."""
        self.configs.start_housekeeping()

    async def stop(self) -> None:
        """End it."""
        await self.hearing.stop()
        self.down.close()
        await self.files.stop()

    def _handlers(self) -> Handlers:
        parts = (self.children, self.telling, self.upgrades, self.files, self.configs)
        return {name: handler for part in parts for name, handler in part.handlers().items()}

    def _arrived(self, tx: Tx, devices: list[Device]) -> None:
        """What is open for devices that have just connected goes out."""
        for device in devices:
            self.upgrades.connected_in(tx, device)
            self.configs.connected_in(tx, device)

    def authorities(self) -> str:
        """Certificates (PEM) of those who sign devices', as somebody has put them into the data folder; blocks."""
        return self._authorities.read_text() if self._authorities.is_file() else ""


def _sessions_ending_in(tx: Tx, by: Caller, device: Device) -> None:
    """What is kept for it over MQTT, or retained of it, ends with its stay, whenever the hub does."""
    keeping.forget(tx, device.id)


def _moving_in(tx: Tx, by: Caller, device: Device) -> None:
    """What the old home offered a device, wanted to know of it or configured it with is nothing to the new one."""
    for table in ("iotda_upgrades", "iotda_configs", "iotda_logging"):
        tx.run(f"DELETE FROM {table} WHERE device_id=?", (device.id,))  # noqa: S608 - our own names
