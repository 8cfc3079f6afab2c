"""What bleak's errors say about the system."""

from typing import Final

from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason, BleakDBusError

from ble import absence
from ble.radio import RadioState

_REASONS: Final = {
    BleakBluetoothNotAvailableReason.NO_BLUETOOTH: absence.NO_ADAPTER,
    BleakBluetoothNotAvailableReason.NO_BLE_CENTRAL_ROLE: absence.NO_ADAPTER,
    BleakBluetoothNotAvailableReason.POWERED_OFF: absence.POWERED_OFF,
    BleakBluetoothNotAvailableReason.DENIED_BY_USER: absence.NOT_PERMITTED,
    BleakBluetoothNotAvailableReason.DENIED_BY_SYSTEM: absence.NOT_PERMITTED,
    BleakBluetoothNotAvailableReason.DENIED_BY_UNKNOWN: absence.NOT_PERMITTED,
}

_DBUS_ERRORS: Final = {
    "ServiceUnknown": absence.NO_DAEMON,
    "NameHasNoOwner": absence.NO_DAEMON,
    "Disconnected": absence.NO_DBUS,
    "AccessDenied": absence.NOT_PERMITTED,
    "NotReady": absence.POWERED_OFF,
    "InProgress": absence.BUSY,
    "UnknownObject": absence.NO_ADAPTER,
}


def absence_of(error: Exception) -> RadioState:
    """What the failure of a scan's beginning says about the system."""
    if isinstance(error, BleakBluetoothNotAvailableError):
        return _REASONS.get(error.reason, absence.FAILED)
    if isinstance(error, BleakDBusError):
        return _DBUS_ERRORS.get(error.dbus_error.rpartition(".")[2], absence.FAILED)
    if isinstance(error, PermissionError):
        return absence.NOT_PERMITTED
    return (
        absence.NO_DBUS
        if isinstance(error, OSError | EOFError) and not isinstance(error, TimeoutError)
        else absence.FAILED
    )
