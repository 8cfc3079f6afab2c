"""Why there is no Bluetooth, in one plain sentence for each cause."""

from typing import Final

from ble.radio import RadioState

NO_ADAPTER: Final = RadioState(
    False, "no_adapter", "There is no Bluetooth adapter; plug one in to use Bluetooth devices."
)
POWERED_OFF: Final = RadioState(
    False, "powered_off", "The Bluetooth adapter is switched off; switch it on in the system."
)
NO_DBUS: Final = RadioState(
    False, "no_dbus", "The system's D-Bus cannot be reached; in a container, /run/dbus must be passed into it."
)
NOT_PERMITTED: Final = RadioState(
    False, "not_permitted", "The system does not let this program use Bluetooth; check its D-Bus permissions."
)
NO_DAEMON: Final = RadioState(
    False, "no_daemon", "The system's Bluetooth service (bluetoothd) is not running; start it."
)
BUSY: Final = RadioState(
    False, "busy", "Another program keeps the Bluetooth adapter busy; end it, or wait until it is done."
)
FAILED: Final = RadioState(False, "failed", "The Bluetooth adapter does not work; unplug it and plug it in again.")
CLOSED: Final = RadioState(False, "closed", "Bluetooth is not in use.")
SWITCHED_OFF: Final = RadioState(False, "switched_off", "The hub was told not to use Bluetooth.")
