"""Values that devices report, into their shadows; the same over MQTT and HTTPS."""

from collections.abc import Callable, Iterable
from functools import partial

from app.devices.model import Device
from app.devices.service import Devices
from app.links.iotda.codec import names
from app.links.iotda.codec.payloads import GatewayReport, ServiceProperty
from app.links.iotda.codec.times import parse_event_time
from app.links.iotda.speaking import Act
from app.links.iotda.whose import Whose
from app.store.tx import Tx


class Reports:
    """Makes acts; each is one transaction.

    `link` is by which a device behind a gateway is there, as long as that is; None: nobody could tell when no longer.
    `on_there` is told of such a device as it comes, on the event loop.
    """

    def __init__(self, devices: Devices, whose: Whose) -> None:
        self._devices = devices
        self._whose = whose
        self.on_there: list[Callable[[Device], None]] = []

    def of_device(self, device: Device, services: Iterable[ServiceProperty], link: str | None) -> Act:
        """A device's values; what does not fit its product is noted and kept out."""
        said = [self._translated(device, each) for each in services]

        def act(tx: Tx) -> None:
            for service, values, at in said:
                self._devices.reported_in(tx, device.id, service, values, at)
            if link is not None and device.gateway_id is not None:
                tx.after(partial(self._there, device, link))

        return act

    def of_gateway(self, gateway: Device, report: GatewayReport, link: str | None) -> tuple[Act, list[str]]:
        """Those of devices behind a gateway (itself among them), and the ids that are none of them."""
        acts: list[Act] = []
        strange: list[str] = []
        for each in report.devices:
            device = gateway if each.device_id == gateway.hardware_id else self._whose.child(gateway, each.device_id)
            if device is None:
                strange.append(each.device_id)
            else:
                acts.append(self.of_device(device, each.services, link))

        def act(tx: Tx) -> None:
            for each in acts:
                each(tx)

        return act, strange

    def _translated(self, device: Device, said: ServiceProperty) -> tuple[str, dict[str, object], int | None]:
        service = names.service_of(self._whose.product(device), said.service_id)
        at = parse_event_time(said.event_time)
        if service is None:
            return said.service_id, dict(said.properties), at
        return service.id, names.values_in(service, said.properties), at

    def _there(self, device: Device, link: str) -> None:
        """A device whose gateway reports of it is there."""
        if not self._whose.is_there(device.id):
            self._devices.online(device.id, link)
            for told in self.on_there:
                told(device)
