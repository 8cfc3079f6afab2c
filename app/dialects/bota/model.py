"""A device as Bota's page shows it, and how its ids and times are written. Pure."""

import re
from datetime import UTC, datetime
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from app.devices.model import Device
from app.ids import TIMESTAMP_BITS
from app.links.heartbeat.queries import Last

PREFIX: Final = "dev_"
BOUND, UNBOUND = "bound", "unbound"
_HEX: Final = re.compile(r"dev_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})")
_UUID_BITS: Final = 128


class BotaDevice(Struct, frozen=True):
    """The page's object, in the order of its sample.

    What a heartbeat says is left out, as in that sample, until there was one; what none has said since is null.
    """

    id: str
    serial_number: str
    model: str
    firmware_version: str | None
    status: str
    end_user_id: str | None
    metadata: dict[str, str] | None
    created_at: str
    updated_at: str
    bound_at: str | None
    battery_percent: int | UnsetType | None = UNSET
    storage_used_mb: int | UnsetType | None = UNSET
    storage_total_mb: int | UnsetType | None = UNSET
    signal_strength_dbm: int | UnsetType | None = UNSET
    last_heartbeat_at: str | UnsetType | None = UNSET


def shown_id(device_id: str) -> str:
    """`dev_` and the 32 digits of a device's id."""
    return PREFIX + device_id.replace("-", "")


def device_id_of(shown: str) -> str:
    """The id behind a `dev_...`; what is none is returned as it is, and is no device's either."""
    found = _HEX.fullmatch(shown)
    return shown if found is None else "-".join(found.groups())


def iso(ms: int) -> str:
    """A time as the page writes it: 2025-01-15T10:30:00Z."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def device_of(device: Device, last: Last | None, *, inside: bool) -> BotaDevice:
    """The object. Who is outside its home, as receiver of a share, reads neither whose it is nor its serial number."""
    made_at = int(device.id.replace("-", ""), 16) >> (_UUID_BITS - TIMESTAMP_BITS)
    unbound = device.unbound_at is not None
    said = {} if last is None else _said(last)
    return BotaDevice(
        id=shown_id(device.id),
        serial_number=(device.serial or device.hardware_id) if inside else "",
        model=device.product_id,
        firmware_version=device.firmware or None,
        status=UNBOUND if unbound else BOUND,
        end_user_id=device.home_id if inside and not unbound else None,
        metadata=None,
        created_at=iso(made_at),
        updated_at=iso(device.updated_at or device.bound_at),
        bound_at=None if unbound else iso(device.bound_at),
        last_heartbeat_at=UNSET if last is None else iso(last.at),
        **said,
    )


def _said(last: Last) -> dict[str, int | None]:
    return {
        "battery_percent": last.battery_percent,
        "storage_used_mb": last.storage_used_mb,
        "storage_total_mb": last.storage_total_mb,
        "signal_strength_dbm": last.signal_strength_dbm,
    }
