"""`pairing.session.log.Registrar` over the store: a proved device becomes the home's in one transaction."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from app.caller import Caller
from app.devices.model import (
    BLE,
    LAN,
    SENSOR,
    BoundElsewhere,
    Device,
    DeviceFrozen,
    GatewayUnfit,
    NewDevice,
    ProductUnknown,
    RoomUnknown,
)
from app.devices.product.sensors import product_id_of
from app.devices.sensors import SensorSecret
from app.devices.service import Devices
from app.errors import DoorstepError, TooMany
from app.onboarding import queries
from app.onboarding.log import DurableLog
from app.onboarding.networks import Networks
from app.onboarding.wanted import KEEP_NETWORK, NO
from app.policy import Actor
from app.store.store import Store
from app.store.tx import Tx
from pairing.activation import Activated
from pairing.methods import ble
from pairing.methods.bthome import JoinedSensor
from pairing.methods.gateway import JoinedChild
from pairing.session.log import Activation, JoinRefusedError
from pairing.session.states import SessionState
from pairing.wifi import WifiNetwork

LINKS = {ble.NAME: BLE}
"""By which link a device is reached, by the method that brought it in, where that is not the LAN."""


class HomeRegistrar:
    """Rights are asked for inside the transaction: who lost them since the session began brings nothing in.

    `carriers` are the methods that tell a device its Wi-Fi.
    """

    def __init__(self, store: Store, devices: Devices, log: DurableLog, networks: Networks) -> None:
        self._store = store
        self._devices = devices
        self._log = log
        self._networks = networks
        self.carriers: frozenset[str] = frozenset()
        # By kind of activation: what of it becomes devices, where that is not one alone. Raises JoinRefusedError.
        self.unfold: dict[type, Callable[[SessionState, Any], list[NewDevice]]] = {}

    async def join(self, session: SessionState, attempt: int, activated: Activation) -> str:
        """Bind the device; the same device id again for the same attempt. Raises JoinRefusedError, StoreError."""
        new = self._new_devices(session, attempt, activated)
        sensor = SensorSecret(activated.key, activated.counter) if isinstance(activated, JoinedSensor) else None
        return await self._store.write(lambda tx: self._join_in(tx, session, attempt, new, sensor))

    def _new_devices(self, session: SessionState, attempt: int, activated: Activation) -> list[NewDevice]:
        unfold = self.unfold.get(type(activated))
        found = [_new_device(session, attempt, activated)] if unfold is None else unfold(session, activated)
        return [replace(new, room_id=session.request.inputs.get("room_id")) for new in found]

    async def joined(self, session: SessionState, attempt: int) -> str | None:
        """From the writer, so that a join which is still under way is seen first."""
        return await self._store.write(lambda tx: queries.joined(tx, session.id, attempt))

    def _join_in(
        self, tx: Tx, session: SessionState, attempt: int, new: list[NewDevice], sensor: SensorSecret | None
    ) -> str:
        if (known := queries.joined(tx, session.id, attempt)) is not None:
            return known
        by = Caller(Actor(session.request.account))
        try:
            device, *_ = [self._bind_in(tx, by, each) for each in new]
        except DoorstepError as error:
            raise JoinRefusedError(_CAUSES.get(type(error), "not_allowed")) from error
        if sensor is not None:
            self._devices.sensors.keep_in(tx, device.id, sensor)
        queries.insert_joined(tx, session.id, attempt, device.id)
        self._learn_in(tx, by.actor, session, attempt)
        return device.id

    def _learn_in(self, tx: Tx, by: Actor, session: SessionState, attempt: int) -> None:
        """The network the device was told brought it here, so it is worth knowing."""
        inputs, tried = session.request.inputs, session.attempt(attempt)
        told = tried is not None and tried.candidate.method in self.carriers
        if not told or "ssid" not in inputs or inputs.get(KEEP_NETWORK) == NO:
            return
        password = self._log.secrets_in(tx, session.id).get("wifi_password")
        if password is not None:
            wifi = WifiNetwork(inputs["ssid"], password, inputs.get("bssid", ""))
            self._networks.joined_in(tx, by, session.request.home, wifi)

    def _bind_in(self, tx: Tx, by: Caller, new: NewDevice) -> Device:
        try:
            return self._devices.bind_in(tx, by, new)
        except RoomUnknown:
            # The room went away while the device was being paired: it is in the home, and in no room.
            return self._devices.bind_in(tx, by, replace(new, room_id=None))


_CAUSES: dict[type[DoorstepError], str] = {
    BoundElsewhere: "device_in_another_home",
    DeviceFrozen: "device_frozen",
    GatewayUnfit: "gateway_unfit",
    ProductUnknown: "unknown_product",
    TooMany: "device_limit",
}


def _new_device(session: SessionState, attempt: int, activated: Activation) -> NewDevice:
    match activated:
        case Activated():
            return replace(_activated(session, activated), link=_link(session, attempt))
        case JoinedSensor():
            return _sensor(session, activated)
        case JoinedChild():
            return _behind_gateway(session, activated)
        case _:
            raise TypeError(f"{type(activated).__name__} is not an activation this hub knows")


def _activated(session: SessionState, activated: Activated) -> NewDevice:
    return NewDevice(
        home_id=session.request.home,
        hardware_id=activated.device_id,
        product_id=activated.product,
        link=LAN,
        trust=activated.trust,
        name=session.request.inputs.get("name") or activated.name or activated.product,
        public_key=activated.public_key,
        credential=activated.credential,
        firmware=activated.firmware,
        serial=activated.serial,
        owner_epoch=activated.epoch,
    )


def _link(session: SessionState, attempt: int) -> str:
    made = session.attempt(attempt)
    return LAN if made is None else LINKS.get(made.candidate.method, LAN)


def _behind_gateway(session: SessionState, joined: JoinedChild) -> NewDevice:
    """Without a key: its gateway's link is what it is reached, and trusted, by."""
    # One name is for one device.
    asked = session.request.inputs.get("name") if session.request.want == 1 else None
    return NewDevice(
        home_id=session.request.home,
        hardware_id=joined.device_id,
        product_id=joined.product,
        gateway_id=joined.gateway,
        link=LAN,
        trust=joined.trust,
        name=asked or joined.name or joined.product,
        firmware=joined.firmware,
    )


def _sensor(session: SessionState, joined: JoinedSensor) -> NewDevice:
    """Without a key to the hub: it cannot be spoken to, and is heard by whoever is in reach."""
    product_id = product_id_of(joined.measures)
    return NewDevice(
        home_id=session.request.home,
        hardware_id=joined.device_id,
        product_id=product_id,
        link=SENSOR,
        trust=joined.trust,
        name=session.request.inputs.get("name") or joined.name,
    )
