"""The status octets of the Configuration models (MshPRT 1.1, 4.3.5), and the error one becomes."""

from enum import IntEnum

from ble.errors import BleError


class Status(IntEnum):
    """What a configuration server answers."""

    SUCCESS = 0x00
    INVALID_ADDRESS = 0x01
    INVALID_MODEL = 0x02
    INVALID_APPKEY_INDEX = 0x03
    INVALID_NETKEY_INDEX = 0x04
    INSUFFICIENT_RESOURCES = 0x05
    KEY_INDEX_ALREADY_STORED = 0x06
    INVALID_PUBLISH_PARAMETERS = 0x07
    NOT_A_SUBSCRIBE_MODEL = 0x08
    STORAGE_FAILURE = 0x09
    FEATURE_NOT_SUPPORTED = 0x0A
    CANNOT_UPDATE = 0x0B
    CANNOT_REMOVE = 0x0C
    CANNOT_BIND = 0x0D
    TEMPORARILY_UNABLE = 0x0E
    CANNOT_SET = 0x0F
    UNSPECIFIED = 0x10
    INVALID_BINDING = 0x11


_PASSING = (Status.STORAGE_FAILURE, Status.TEMPORARILY_UNABLE, Status.UNSPECIFIED)


class ConfigRefused(BleError):
    """A node refused a setting. `code` names the status, `status` is its octet."""

    code = "config_refused"
    hint = "Reset the device and add it again, if this does not pass."

    def __init__(self, status: int) -> None:
        known = status in Status.__members__.values()
        name = Status(status).name.lower() if known else f"status_{status:02x}"
        super().__init__(name.replace("_", " "))
        self.code = f"config_{name}"
        self.status = status
        self.retryable = status in _PASSING


def check(status: int) -> None:
    """Raises ConfigRefused where the node did not do as it was told."""
    if status != Status.SUCCESS:
        raise ConfigRefused(status)
