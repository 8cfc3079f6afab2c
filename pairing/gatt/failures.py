"""What the radio raises, in this package's words: a person is told one cause, whatever carried the conversation."""

from collections.abc import Iterator
from contextlib import contextmanager

from ble import errors as ble
from pairing.errors import ConnectionLostError, PairingError, PeerSilentError


class RadioOffError(PairingError):
    """The hub has no Bluetooth to use now."""

    code = "radio_off"
    retryable = True


class NoSlotError(PairingError):
    """Every connection the hub's adapter can hold is in use."""

    code = "no_ble_slot"
    retryable = True


class NotOfferedError(PairingError):
    """The device does not have what its advertisement says it has."""

    code = "not_offered"


@contextmanager
def translated(step: str) -> Iterator[None]:
    """Raises PairingError for a BleError."""
    try:
        yield
    except ble.RadioOff as error:
        raise RadioOffError(str(error), step=step) from error
    except ble.NoSlot as error:
        raise NoSlotError(str(error), step=step) from error
    except ble.NotReachable as error:
        raise PeerSilentError(str(error), step=step) from error
    except ble.NotOffered as error:
        raise NotOfferedError(str(error), step=step) from error
    except ble.BleError as error:
        raise ConnectionLostError(error.code, step=step) from error
