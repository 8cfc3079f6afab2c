"""A device asks for its shadow (2.7.5)."""

import msgspec

from app.devices.model import Device
from app.devices.product.model import Service
from app.devices.service import Devices
from app.devices.shadow_state import Point, ServiceState
from app.links.iotda.codec import names
from app.links.iotda.codec.payloads import PropertiesData, ShadowData, ShadowResponse
from app.links.iotda.codec.times import event_time
from app.links.iotda.codec.topics import Kind
from app.links.iotda.downwards import Downwards
from app.links.iotda.speaking import Act
from app.links.iotda.whose import Whose
from app.store.tx import Tx


class ShadowAnswers:
    """Answers once everything the device said before is in the shadow."""

    def __init__(self, devices: Devices, whose: Whose, down: Downwards) -> None:
        self._devices = devices
        self._whose = whose
        self._down = down

    def act(self, speaker: Device, device: Device, request_id: str, service: str) -> Act:
        """`service` as IoTDA calls it; empty: all of them."""

        def answer() -> None:
            shown = ShadowResponse(object_device_id=device.hardware_id, shadow=tuple(self._shown(device, service)))
            self._down.answer(speaker, Kind.SHADOW_GET_RESPONSE, request_id, shown)

        def act(tx: Tx) -> None:
            tx.after(answer)

        return act

    def _shown(self, device: Device, name: str) -> list[ShadowData]:
        product, live = self._whose.product(device), self._devices.memory.get(device.id)
        if product is None or live is None:
            return []
        wanted = names.service_of(product, name) if name else None
        services = product.services if not name else () if wanted is None else (wanted,)
        return [_data(service, live.services.get(service.id, ServiceState())) for service in services]


def _data(service: Service, state: ServiceState) -> ShadowData:
    return ShadowData(
        service_id=service.iotda or service.id,
        desired=_side(service, state.desired),
        reported=_side(service, state.reported),
        version=state.version,
    )


def _side(service: Service, points: dict[str, Point]) -> PropertiesData | None:
    """One side; `event_time` is that of its newest value."""
    if not points:
        return None
    values = {name: msgspec.json.decode(point.value) for name, point in points.items()}
    newest = max(point.at for point in points.values())
    return PropertiesData(properties=names.values_out(service.properties, values), event_time=event_time(newest))
