"""What is told of a device: to listeners, to the audit trail and to sync."""

from typing import Any

from app.devices.model import Device
from app.policy import Action
from app.store.tx import Change


def change(
    kind: str, device: Device, data: Any = None, sees: Action = Action.DEVICE_READ, *, audit: bool = True
) -> Change:
    """`kind` befell the device; who may do `sees` with it is told."""
    return Change(kind, "device", device.id, device.home_id, sees, data, device_id=device.id, audit=audit)
