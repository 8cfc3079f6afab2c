"""What goes wrong with a radio. Each error has a `code`, says whether trying again can help, and what to do."""


class BleError(Exception):
    """The root of this package's errors."""

    code = "ble"
    retryable = False
    hint = ""


class RadioOff(BleError):
    """There is no Bluetooth to use now: no adapter, it is switched off, or the system does not let us."""

    code = "radio_off"
    retryable = True
    hint = "Check that the Bluetooth adapter is plugged in and switched on."


class NotReachable(BleError):
    """The device was not heard, did not answer, or could not be connected to in time."""

    code = "not_reachable"
    retryable = True
    hint = "Bring the device nearer, and check that it has power."


class NoSlot(BleError):
    """Every connection the adapter can hold is in use."""

    code = "no_slot"
    retryable = True
    hint = "Wait until another Bluetooth connection has ended."


class Disconnected(BleError):
    """The connection ended while it was in use."""

    code = "disconnected"
    retryable = True
    hint = "Try again; bring the device nearer if it happens often."


class NotOffered(BleError):
    """The device has no such service or characteristic, or does not permit this use of it."""

    code = "not_offered"


class Malformed(BleError):
    """Octets that are not what their format says."""

    code = "malformed"


class WrongKey(BleError):
    """What was heard cannot be read, or not be trusted, with the key that is known."""

    code = "wrong_key"
    hint = "Enter the key again as the maker's app shows it."
