"""A device and what it says of itself, as structs; and what can be wrong with them."""

from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta, Struct, field

from app.clock import Time
from app.errors import Conflict, Invalid, NotFound

Icon: TypeAlias = Annotated[str, Meta(max_length=48, pattern=r"^[a-z0-9_-]*\Z")]
# What a device is trusted as that somebody let in by hand: nothing but its id was proved.
REGISTERED: Final = "registered"
# Links: over TCP on the LAN, over Bluetooth LE, of sensors that only advertise, and of nodes of a Bluetooth mesh, which
# are on no Wi-Fi.
LAN: Final = "lan"
BLE: Final = "ble"
SENSOR: Final = "bthome"
MESH: Final = "mesh"
# A device is bound once at each pairing, and once as it changes hubs: nobody does either a thousand times unheard.
MAX_EPOCH_STEP: Final = 1_000
Position: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)]


class Device(Struct, frozen=True, gc=False):
    """A device in a home. `hardware_id` is its own, from its key; `link` is how it is reached; times in ms."""

    id: str
    home_id: str
    room_id: str | None
    product_id: str
    hardware_id: str
    gateway_id: str | None
    link: str
    trust: str
    name: str
    icon: str
    position: int
    firmware: str
    serial: str
    owner_epoch: int
    version: int
    bound_at: int
    # It was reset, and is in no use until it is paired again.
    unbound_at: int | None = None
    updated_at: int | None = None
    # Since when it is kept out of every link and of all commands; None: it is not.
    frozen_at: int | None = None
    # Seconds; 0: nobody is told; None: as its home has it.
    offline_alert_after: int | None = None
    # The id of the hub that holds it, None: this one; and of the one that may take over without asking.
    holder: str | None = None
    standby: str | None = None


class NewDevice(Struct, frozen=True, kw_only=True):
    """What a proven device enters a home with.

    `credential` (32 bytes) and `public_key` are what its links are proved by; a device behind a gateway has neither.
    `owner_epoch` is what the activation agreed on.
    """

    home_id: str
    hardware_id: str
    product_id: str
    name: str = ""
    link: str = LAN
    trust: str = "first-use"
    public_key: bytes | None = None
    credential: bytes | None = None
    room_id: str | None = None
    gateway_id: str | None = None
    firmware: str = ""
    serial: str = ""
    owner_epoch: int = 1

    def __repr__(self) -> str:
        return f"NewDevice(hardware_id={self.hardware_id!r}, home_id={self.home_id!r})"


class Bond(Struct, frozen=True, gc=False):
    """What proves a piece of hardware to this hub; `removed` once it was let go."""

    public_key: bytes
    credential: bytes
    owner_epoch: int
    removed: bool

    def __repr__(self) -> str:
        return f"Bond(owner_epoch={self.owner_epoch}, removed={self.removed})"


class PointView(Struct, frozen=True, gc=False):
    """A value of a property, and when it was reported or asked for."""

    value: Any
    at: Time


class ServiceView(Struct, frozen=True):
    """A service of a device: what it reported and what is wanted of it; `version` counts the changes of both."""

    version: int = 0
    reported: dict[str, PointView] = field(default_factory=dict)
    desired: dict[str, PointView] = field(default_factory=dict)


class DeviceView(Struct, frozen=True):
    """A device. For the receiver of a share, where it stands in its home is null.

    `unbound_at`: it was reset, and is in no use until it is paired again; null: it is not.
    `version` counts changes of its entry (name, room, ...) and is the ETag; values and `online` change without it.
    `offline_alert_after` is after how many seconds somebody is told that it is gone; 0: nobody is; null: as its home
    has it. `names` are what people call parts of it, by service and property.
    """

    id: str
    home_id: str | None
    room_id: str | None
    gateway_id: str | None
    product_id: str
    name: str
    icon: str
    position: int
    online: bool
    frozen: bool
    last_seen_at: Time | None
    link: str
    trust: str
    firmware: str
    serial: str
    bound_at: Time
    unbound_at: Time | None
    offline_alert_after: int | None
    version: int
    names: dict[str, dict[str, str]]
    services: dict[str, ServiceView]


class DeviceEntry(Struct, frozen=True):
    """A device's entry in its home, as it is after a change."""

    id: str
    home_id: str
    room_id: str | None
    product_id: str
    name: str
    icon: str
    position: int
    frozen: bool
    offline_alert_after: int | None
    version: int


def entry_of(device: Device) -> DeviceEntry:
    """Its entry."""
    return DeviceEntry(
        device.id,
        device.home_id,
        device.room_id,
        device.product_id,
        device.name,
        device.icon,
        device.position,
        device.frozen_at is not None,
        device.offline_alert_after,
        device.version,
    )


class ProductUnknown(Conflict):
    """This hub has no model of that product."""

    code = "product_unknown"
    hint = "Update the hub; it learns new products with new versions."


class BoundElsewhere(Conflict):
    """The device is in another home of this hub."""

    code = "device_bound_elsewhere"
    hint = "Have that home remove it first, or reset the device by hand."


class DeviceUnbound(Conflict):
    """The device was reset and is in no use until it is paired again."""

    code = "device_unbound"
    hint = "Pair it again; it keeps its name, room and history in this home."


class DeviceFrozen(Conflict):
    """The device is frozen, or the gateway it is behind is: it is kept out, and nothing can be asked of it."""

    code = "device_frozen"
    hint = "Have the owner or an admin of its home unfreeze it first."


class HeldElsewhere(Conflict):
    """Another hub holds this device, and what it proves itself with is told there alone."""

    code = "held_elsewhere"
    hint = "Ask the hub that holds it."


class DeviceMoved(NotFound):
    """The device has been bound anew since, here or in another home."""

    code = "device_moved"
    retryable = True


class RoomUnknown(Invalid):
    """The home has no such room."""

    code = "room_unknown"


class GatewayUnfit(Conflict):
    """That is not a gateway of this home."""

    code = "gateway_unfit"
