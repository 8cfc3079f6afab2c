"""What the 26 system events carry (2.8 to 2.14)."""

from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType, field

from app.links.iotda.codec.fields import DeviceId, Object, Text, Whole, given

# Of one request to add or delete devices, and of one update of their status (2.8.4, 2.8.6, 2.8.8).
MAX_CHANGED: Final = 50
MAX_STATUSES: Final = 100
MAX_EXTENSION: Final = 1024
# The result of an upgrade (2.9.4), by its code.
UPGRADE_RESULTS: Final = {
    0: "success",
    1: "device_in_use",
    2: "poor_signal",
    3: "already_latest",
    4: "low_battery",
    5: "no_storage",
    6: "download_timeout",
    7: "verification_failed",
    8: "unsupported_package",
    9: "no_memory",
    10: "installation_failed",
    255: "internal_exception",
}


class Nothing(Struct, frozen=True):
    """No parameters."""


class Child(Struct, frozen=True, kw_only=True):
    """A device behind a gateway, as the platform tells of it (2.8.1, 2.8.7)."""

    parent_device_id: Text = UNSET
    node_id: Text = UNSET
    device_id: DeviceId
    name: Text = UNSET
    description: Text = UNSET
    manufacturer_id: Text = UNSET
    model: Text = UNSET
    product_id: Text = UNSET
    fw_version: Text = UNSET
    sw_version: Text = UNSET
    status: Text = UNSET
    extension_info: Any | UnsetType = UNSET


class ChildrenAdded(Struct, frozen=True, kw_only=True):
    """2.8.1. `version` is of the gateway's list of devices."""

    devices: tuple[Child, ...]
    version: int


class ChildGone(Struct, frozen=True, kw_only=True):
    """A device that is behind the gateway no more."""

    parent_device_id: Text = UNSET
    node_id: Text = UNSET
    device_id: DeviceId


class ChildrenDeleted(Struct, frozen=True, kw_only=True):
    """2.8.2."""

    devices: tuple[ChildGone, ...]
    version: int


class SyncChildren(Struct, frozen=True, kw_only=True):
    """2.8.3: what is later than `version` is wanted; left out: everything."""

    version: Whole = UNSET


class Status(Struct, frozen=True, kw_only=True):
    """Whether a device is there: ONLINE or OFFLINE."""

    device_id: DeviceId
    status: Text = UNSET


class UpdateStatuses(Struct, frozen=True, kw_only=True):
    """2.8.4."""

    device_statuses: Annotated[tuple[Status, ...], Meta(min_length=1, max_length=MAX_STATUSES)]


class Reason(Struct, frozen=True, kw_only=True):
    """Why not. A device that was to be added is named by its node id, any other by its device id."""

    node_id: Text = UNSET
    product_id: Text = UNSET
    device_id: Text = UNSET
    error_code: str
    error_msg: str


class StatusesUpdated(Struct, frozen=True, kw_only=True):
    """2.8.5."""

    successful_devices: tuple[Status, ...]
    failed_devices: tuple[Reason, ...]


class NewChild(Struct, frozen=True, kw_only=True):
    """A device to be added (2.8.6)."""

    parent_device_id: Text = UNSET
    node_id: Annotated[str, Meta(min_length=1, max_length=64)]
    device_id: Text = UNSET
    name: Text = UNSET
    description: Text = UNSET
    product_id: Annotated[str, Meta(min_length=1, max_length=256)]
    extension_info: Any | UnsetType = UNSET


class AddChildren(Struct, frozen=True, kw_only=True):
    """2.8.6."""

    devices: Annotated[tuple[NewChild, ...], Meta(max_length=MAX_CHANGED)]


class AddedChildren(Struct, frozen=True, kw_only=True):
    """2.8.7."""

    successful_devices: tuple[Child, ...]
    failed_devices: tuple[Reason, ...]


class DeleteChildren(Struct, frozen=True, kw_only=True):
    """2.8.8."""

    devices: Annotated[tuple[DeviceId, ...], Meta(max_length=MAX_CHANGED)]


class DeletedChildren(Struct, frozen=True, kw_only=True):
    """2.8.9."""

    successful_devices: tuple[str, ...]
    failed_devices: tuple[Reason, ...]


class Versions(Struct, frozen=True, kw_only=True):
    """2.9.2."""

    sw_version: Text = UNSET
    fw_version: Text = UNSET


class Upgrade(Struct, frozen=True, kw_only=True):
    """2.9.3: a package to fetch. The second form (`_v2`) has no size, token or hash."""

    version: str
    url: str
    file_size: Whole = UNSET
    access_token: Text = UNSET
    expires: Whole = UNSET
    sign: Text = UNSET
    custom_info: Text = UNSET

    def __repr__(self) -> str:
        return f"Upgrade(version={self.version!r})"


class UpgradeProgress(Struct, frozen=True, kw_only=True):
    """2.9.4. `progress` in percent."""

    result_code: int
    progress: Annotated[int, Meta(ge=0, le=100)] | UnsetType | None = UNSET
    version: Text = UNSET
    description: Text = UNSET


class WantUrl(Struct, frozen=True, kw_only=True):
    """2.10.1, 2.10.4: a device asks where to put, or to get, a file. One table prints `fileName`: both are read."""

    file_name: Text = UNSET
    printed_name: Text = field(default=UNSET, name="fileName")
    file_attributes: Object = UNSET

    @property
    def wanted(self) -> str:
        return given(self.file_name, "") or given(self.printed_name, "")


class FileUrl(Struct, frozen=True, kw_only=True):
    """2.10.2, 2.10.5. `expire` in seconds."""

    url: str
    bucket_name: Text = UNSET
    object_name: Text = UNSET
    expire: Whole = UNSET
    file_attributes: Object = UNSET

    def __repr__(self) -> str:
        return f"FileUrl(object_name={self.object_name!r})"


class FileResult(Struct, frozen=True, kw_only=True):
    """2.10.3, 2.10.6. `result_code` 0: it went well."""

    object_name: str
    result_code: int
    status_code: Whole = UNSET
    status_description: Text = UNSET


class TimeRequest(Struct, frozen=True, kw_only=True):
    """2.11.1, ms."""

    device_send_time: int


class TimeResponse(Struct, frozen=True, kw_only=True):
    """2.11.2, ms."""

    device_send_time: int
    server_rcv_time: int
    server_send_time: int


class SdkInfo(Struct, frozen=True, kw_only=True):
    """2.12.1."""

    device_sdk_version: Text = UNSET
    sw_version: Text = UNSET
    fw_version: Text = UNSET
    device_ip: Text = UNSET


class LogConfig(Struct, frozen=True, kw_only=True):
    """2.13.1. `switch` on or off."""

    switch: Text = UNSET
    end_time: Text = UNSET


class LogReport(Struct, frozen=True, kw_only=True):
    """2.13.2. `content` of at most 1 MB."""

    timestamp: Text = UNSET
    type: Annotated[str, Meta(max_length=64)]
    content: Annotated[str, Meta(max_length=1 << 20)]


class Config(Struct, frozen=True, kw_only=True):
    """2.14.1."""

    config_content: dict[str, Any]


class ConfigResult(Struct, frozen=True, kw_only=True):
    """2.14.2. `result_code` 0: it went well."""

    result_code: int
    description: Text = UNSET
