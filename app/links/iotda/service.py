"""Everything that makes a device that speaks IoTDA's protocol one of the hub's, over one set of services."""

from collections.abc import Callable
from typing import Final

from app.control.service import Control
from app.devices.service import Devices
from app.journal.service import Journal
from app.links.iotda.admission import IotdaAddressing, IotdaAdmission, Proving
from app.links.iotda.children import Children
from app.links.iotda.downwards import DELIVERED_DELAY_S, LINK, Downwards
from app.links.iotda.https import HttpsSide
from app.links.iotda.messages import Budget, Messages
from app.links.iotda.reports import Reports
from app.links.iotda.shadows import ShadowAnswers
from app.links.iotda.telling import Telling
from app.links.iotda.upwards import Upwards
from app.links.iotda.whose import Whose
from app.store.store import Store
from app.store.tx import Tx

# In the data folder, for X.509 devices (1.4.17): without it no certificate is asked for.
AUTHORITIES: Final = "device-authorities.pem"


class Iotda:
    """`admission` and `hearing` go to an MQTT link, which is then given to `down.take_link`."""

    def __init__(
        self, store: Store, devices: Devices, control: Control, journal: Journal, is_frozen: Callable[[str], bool]
    ) -> None:
        def delivered(tx: Tx, acked: list[tuple[str, str]]) -> None:
            for device_id, command_id in acked:
                control.delivered_in(tx, device_id, command_id)

        self._authorities = store.path.parent / AUTHORITIES
        self.whose = whose = Whose(devices)
        self.proving = Proving(devices, store.clock, is_frozen)
        self.admission = IotdaAdmission(self.proving)
        self.addressing = IotdaAddressing(self.proving)
        self.down = Downwards(whose, store.clock, store.later(delivered, DELIVERED_DELAY_S))
        self.budget = Budget()
        self.reports = Reports(devices, whose)
        self.messages = Messages(journal, self.budget)
        self.children = Children(store, devices, whose, self.down)
        self.telling = Telling(devices, journal, store.clock, self.down, self.budget)
        self.hearing = Upwards(
            store,
            devices,
            control,
            journal,
            whose=whose,
            reports=self.reports,
            messages=self.messages,
            shadows=ShadowAnswers(devices, whose, self.down),
            handlers=self.children.handlers() | self.telling.handlers(),
        )
        self.https = HttpsSide(store, devices, self.proving, self.reports, self.messages)
        control.links[LINK] = self.down
        devices.credentials.on_changed.append(self.down.drop)
        devices.on_left.append(lambda device: self.down.drop(device.id))
        devices.on_left.append(lambda device: self.budget.forget(device.id))

    def authorities(self) -> str:
        """Certificates (PEM) of those who sign devices', as somebody has put them into the data folder; blocks."""
        return self._authorities.read_text() if self._authorities.is_file() else ""
