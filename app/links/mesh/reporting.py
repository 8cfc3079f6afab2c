"""What nodes say of themselves, into the shadows of their devices: once, and again only when it has changed."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from app.devices.service import Devices
from app.errors import NotFound
from app.links.mesh.placing import Placed
from app.links.mesh.speaking import KELVIN, Range, telling
from app.store.store import Store
from app.store.tx import Tx
from ble.errors import BleError
from ble.mesh.access import Message


class Report(Struct, frozen=True):
    """What a device said of one service, and when (ms)."""

    device_id: str
    service: str
    values: dict[str, Any]
    at: int


class Reporting:
    """One for all homes of a hub."""

    def __init__(self, store: Store, devices: Devices) -> None:
        self._devices, self._clock = devices, store.clock
        self._later = store.later(self._put)

    def heard(self, placed: Placed, source: int, message: Message, kelvin: Range | None) -> None:
        """A message from one of its node's elements; what it says of this device is kept soon."""
        elements = {placed.at(placed.part.element)} | {placed.at(at) for at, _ in placed.part.models.values()}
        if source not in elements:
            return
        with suppress(BleError):
            for told in telling(placed.part, message, kelvin or KELVIN):
                news = self._news(placed.device_id, told.service, told.values)
                if news:
                    self._later.add(Report(placed.device_id, told.service, news, self._clock.now().ms))
                else:
                    self._devices.presence.seen(placed.device_id)

    def _news(self, device_id: str, service: str, values: Mapping[str, Any]) -> dict[str, Any]:
        live = self._devices.memory.get(device_id)
        if live is None:
            return {}
        state = live.services.get(service)
        known = {} if state is None else {name: point.value for name, point in state.reported.items()}
        return {name: value for name, value in values.items() if known.get(name) != msgspec.json.encode(value).decode()}

    def _put(self, tx: Tx, reports: list[Report]) -> None:
        for one in reports:
            with suppress(NotFound):
                self._devices.reported_in(tx, one.device_id, one.service, one.values, one.at)
