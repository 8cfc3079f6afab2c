"""Packages of firmware and software, and upgrades with them."""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from app.clock import Time
from app.errors import Conflict, Invalid

MAX_PACKAGE: Final = 256 << 20


class PackageKind(StrEnum):
    """What a device runs on, or what runs on it."""

    FIRMWARE = "firmware"
    SOFTWARE = "software"


class UpgradeState(StrEnum):
    """Where an upgrade stands; the last two are its ends."""

    OFFERED = "offered"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self in (UpgradeState.SUCCEEDED, UpgradeState.FAILED)


class Package(Struct, frozen=True):
    """A package as kept; `id` is its file's name, `created_at` in ms."""

    id: str
    product_id: str
    kind: PackageKind
    version: str
    size: int
    sha256: str
    custom_info: str
    created_at: int


class PackageView(Struct, frozen=True):
    """A package as shown."""

    id: str
    product_id: str
    kind: PackageKind
    version: str
    size: int
    sha256: str
    custom_info: str
    created_at: Time


class Upgrade(Struct, frozen=True):
    """The newest upgrade of a device of one kind, as kept."""

    device_id: str
    kind: PackageKind
    package_id: str
    state: UpgradeState
    progress: int
    result_code: int | None
    description: str
    offered_at: int
    updated_at: int


class UpgradeView(Struct, frozen=True):
    """An upgrade as shown. `result` names the device's result code (specs/iotda, 2.9.4); null until it said one."""

    kind: PackageKind
    package_id: str
    version: str
    state: UpgradeState
    progress: int
    result: str | None
    description: str
    offered_at: Time
    updated_at: Time


class NewUpgrade(Struct, frozen=True, forbid_unknown_fields=True):
    """Which package."""

    package_id: Annotated[str, Meta(min_length=1, max_length=64)]


class PackageUnfit(Invalid):
    """The package is for another product."""

    code = "package_unfit"


class UpgradeOpen(Conflict):
    """The device is being upgraded."""

    code = "upgrade_open"
    hint = "Wait until it has ended."
