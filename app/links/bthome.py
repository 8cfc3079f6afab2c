"""Sensors that only advertise (BTHome v2): what they say goes into their shadows, and who is silent is offline.

What a sensor says in clear anybody in reach can say for it, and is taken for what it is (`trust` "unproven"): so much
a second and no more. What it enciphers is taken once, also across restarts: its counter is kept with the report.
"""

import asyncio
from typing import Final

import structlog
from msgspec import Struct, field

from app.devices.model import SENSOR as LINK
from app.devices.model import Device
from app.devices.product.sensors import SERVICE
from app.devices.product.values import Values
from app.devices.sensors import SensorSecret
from app.devices.service import Devices
from app.errors import DoorstepError
from app.store.errors import StoreError
from app.store.store import Store
from app.store.tx import Tx
from ble.adverts import BTHOME
from ble.bthome import Sensor, points_of
from ble.bthome_kinds import Form
from ble.errors import Malformed, WrongKey
from ble.radio import Advertisement, Radio
from pairing.methods.bthome import IN_CLEAR, id_of

SILENT_S: Final = 15 * 60.0
"""Seconds without a word after which a sensor is offline: some say one in ten minutes."""
REPORT_EVERY_S: Final = 1.0
"""At most one report a second and sensor is written, with what was said last."""
REPEAT_S: Final = 600.0
"""Seconds after which an equal value is reported again."""
_log = structlog.get_logger("doorstep.sensors")


class _Listened(Struct):
    """A sensor that is listened to: what it said last, when that was written, and what is to be."""

    secret: SensorSecret
    sensor: Sensor
    told: Values = field(default_factory=dict)
    told_at: float = 0.0
    pending: Values = field(default_factory=dict)
    writing: asyncio.Task[None] | None = None


class SensorLink:
    """`start`, and `stop` at the end."""

    def __init__(self, radio: Radio, devices: Devices, store: Store) -> None:
        self._radio = radio
        self._devices = devices
        self._store = store
        self._listened: dict[str, _Listened] = {}
        devices.on_left.append(self._left)
        self.unread = 0
        """Advertisements of our sensors that could not be read: not their key, or nonsense."""

    def start(self) -> None:
        self._unlisten = self._radio.listen(self._hear)

    async def stop(self) -> None:
        self._unlisten()
        tasks = [each.writing for each in self._listened.values() if each.writing is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _left(self, device: Device) -> None:
        self._listened.pop(device.id, None)

    def _hear(self, advertisement: Advertisement) -> None:
        if BTHOME not in advertisement.service_data:
            return
        device = self._devices.of_hardware(id_of(advertisement.address))
        secret = None if device is None or device.link != LINK else self._secret_of(device)
        if device is None or secret is None:
            return
        one = self._one(device.id, secret)
        try:
            heard = one.sensor.hear(advertisement, _now())
        except (Malformed, WrongKey):
            self.unread += 1
            return
        if heard is None and secret.key is not None:
            return  # an old one, perhaps played by somebody else
        self._devices.online(device.id, LINK, lifetime=SILENT_S)
        if heard is not None:
            points = points_of(heard)
            values: Values = {each.name: each.value for each in points}
            happened = any(each.kind.form is Form.EVENT for each in points)
            if happened or values.items() - one.told.items() or _now() - one.told_at > REPEAT_S:
                one.pending |= values
                if one.writing is None:
                    one.writing = asyncio.create_task(self._write(device, one), name="sensor report")

    def _secret_of(self, device: Device) -> SensorSecret | None:
        """Of one that joined at another hub, and says it in clear, nothing is kept here."""
        known = self._devices.sensors.get(device.id)
        return SensorSecret(None, -1) if known is None and device.trust == IN_CLEAR else known

    def _one(self, device_id: str, secret: SensorSecret) -> _Listened:
        one = self._listened.get(device_id)
        if one is None or one.secret.key != secret.key:
            one = self._listened[device_id] = _Listened(secret, Sensor(secret.key, counter=secret.counter))
        return one

    async def _write(self, device: Device, one: _Listened) -> None:
        """What is pending, and what comes while that is written."""
        try:
            while one.pending:
                values, one.pending = one.pending, {}
                counter = one.sensor.counter
                await self._store.write(lambda tx, v=values, c=counter: self._report_in(tx, device, v, c))  # type: ignore[misc]
                one.told |= values
                one.told_at = _now()
                await asyncio.sleep(REPORT_EVERY_S)
        except (DoorstepError, StoreError) as error:
            _log.info("sensor report not kept", device=device.id, code=error.code)
        finally:
            one.writing = None

    def _report_in(self, tx: Tx, device: Device, values: Values, counter: int) -> None:
        self._devices.sensors.took_in(tx, device.id, counter)
        self._devices.reported_in(tx, device.id, SERVICE, values)


def _now() -> float:
    return asyncio.get_running_loop().time()
