"""A device as a fact of its home (app/sync/PROTOCOL.md 2): its fields, checked, and what they change of its entry."""

from operator import attrgetter
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from app.clock import LAST_MS
from app.devices.model import Device
from app.sync.kinds import Fields, filled, fitting

# As wide as any node of this program writes them; what is wider comes from no such node.
Text: TypeAlias = Annotated[str, Meta(max_length=4_096)]
Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Whole: TypeAlias = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Ms: TypeAlias = Annotated[int, Meta(ge=0, le=LAST_MS)]
Hex: TypeAlias = Annotated[str, Meta(max_length=512, pattern=r"^([0-9a-f]{2})+\Z")]

FIELDS: Final = (
    "room_id",
    "product_id",
    "hardware_id",
    "gateway_id",
    "link",
    "trust",
    "name",
    "icon",
    "position",
    "firmware",
    "serial",
    "owner_epoch",
    "holder",
    "standby",
    "bound_at",
    "unbound_at",
    "frozen_at",
    "offline_alert_after",
)
_values = attrgetter(*FIELDS)
# Of these, what the receiver of a share is told as well.
_SHOWN: Final = ("product_id", "name", "icon", "position", "firmware", "offline_alert_after")
_INSIDE: Final = ("gateway_id", "link", "trust", "serial", "holder", "standby")


class DeviceFact(Struct, frozen=True, kw_only=True):
    """The fields. `holder` None: nobody holds it; times in ms."""

    product_id: Id
    hardware_id: Id
    public_key: Hex | None = None
    room_id: Id | None = None
    gateway_id: Id | None = None
    link: Text = ""
    trust: Text = ""
    name: Text = ""
    icon: Text = ""
    position: Whole = 0
    firmware: Text = ""
    serial: Text = ""
    owner_epoch: Whole = 1
    holder: Id | None = None
    standby: Id | None = None
    bound_at: Ms = 0
    unbound_at: Ms | None = None
    frozen_at: Ms | None = None
    offline_alert_after: Whole | None = None


def fact_of(fields: Fields) -> DeviceFact | None:
    """The fields of an entity; None where no device can be made of them."""
    return fitting(DeviceFact, filled(fields))


def fields_of(device: Device, public_key: bytes | None, hub_id: str | None) -> dict[str, Any]:
    """The fields of a device here, whose row leaves it open that this hub holds it."""
    fields = _said(device)
    fields["holder"] = hub_id if device.holder is None else device.holder
    fields["public_key"] = None if public_key is None else public_key.hex()
    return filled(fields)


def entered(fact: DeviceFact, device_id: str, home_id: str, now: int, **places: Any) -> Device:
    """A device that is new here; `places` are its room and gateway, where they are there."""
    said = _said(fact) | {"holder": fact.holder or ""} | places
    return Device(id=device_id, home_id=home_id, version=1, updated_at=now, **said)


def changed(old: Device, fact: DeviceFact, hub_id: str | None, now: int, **places: Any) -> Device | None:
    """A device that was here, in its next version; None where nothing of it is another.

    Its epoch is only raised here, by the hub that holds it: of one that another holds the log knows better.
    """
    said = _said(fact) | places
    if fact.holder in (None, hub_id):
        said["owner_epoch"] = max(old.owner_epoch, fact.owner_epoch)
    said["holder"] = None if old.holder is None and fact.holder == hub_id else fact.holder or ""
    if tuple(said.values()) == _values(old):
        return None
    return msgspec.structs.replace(old, version=old.version + 1, updated_at=now, **said)


def shown_changes(old: Device, now: Device) -> dict[str, Any]:
    """What everybody who sees the device is told of."""
    return _differing(_SHOWN, old, now)


def inside_changes(old: Device, now: Device) -> dict[str, Any]:
    """What only its home is told of."""
    return _differing(_INSIDE, old, now)


def _said(it: Device | DeviceFact) -> dict[str, Any]:
    return dict(zip(FIELDS, _values(it), strict=True))


def _differing(names: tuple[str, ...], old: Device, now: Device) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(now, name)) != getattr(old, name)}
