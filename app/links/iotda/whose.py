"""Which device a gateway or a device speaks of, and how it is reached."""

from msgspec import UnsetType

from app.devices.model import Device, DeviceFrozen
from app.devices.product.model import Product
from app.devices.service import Devices
from app.links.iotda.codec.errors import MalformedError
from app.links.iotda.codec.fields import given
from app.links.iotda.codec.signing import DEVICE_ID


class Whose:
    """By ids on the wire, which are hardware ids, and by the hub's."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    def device(self, device_id: str) -> Device | None:
        """By the hub's id."""
        live = self._devices.memory.get(device_id)
        return None if live is None else live.device

    def product(self, device: Device) -> Product | None:
        """What it is."""
        return self._devices.catalogue.get(device.product_id)

    def speaks(self, device: Device) -> bool:
        """Whether its id can stand in a topic: one behind a gateway of another protocol has none that can."""
        return DEVICE_ID.match(device.hardware_id) is not None

    def child(self, speaker: Device, wire_id: str) -> Device | None:
        """The device behind `speaker` that it calls so."""
        device = self._devices.of_hardware(wire_id)
        return device if device is not None and device.gateway_id == speaker.id else None

    def meant(self, speaker: Device, object_id: str | UnsetType | None) -> Device:
        """Whom an `object_device_id` names: the speaker, also where it is left out, or a device behind it.

        Raises MalformedError for any other (2.6.1: "the request fails"), DeviceFrozen for one that is kept out.
        """
        wire_id = given(object_id, "")
        if wire_id in ("", speaker.hardware_id):
            return speaker
        device = self.child(speaker, wire_id)
        if device is None:
            raise MalformedError("object_device_id is no device behind this one")
        if self.is_kept_out(device.id):
            raise DeviceFrozen
        return device

    def connected(self, device: Device) -> Device | None:
        """Whose connection reaches `device`: its own or its gateway's."""
        return device if device.gateway_id is None else self.device(device.gateway_id)

    def behind(self, device: Device) -> list[Device]:
        """Who is behind a gateway."""
        return [live.device for live in self._devices.memory.in_place(device.id) if live.device.gateway_id == device.id]

    def is_kept_out(self, device_id: str) -> bool:
        """Whether it, or its gateway, is frozen."""
        return self._devices.is_frozen(device_id)

    def is_there(self, device_id: str) -> bool:
        """Whether it counts as online."""
        live = self._devices.memory.get(device_id)
        return live is not None and live.online
