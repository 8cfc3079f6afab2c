"""What can go wrong while a device joins or links: one root, each with a code a person's text hangs on."""


class PairingError(Exception):
    """A conversation that ended without its result.

    `code` is stable and names the cause; `retryable` says whether the same try again may help; `step` is where it
    happened; `detail` is for logs and never holds a secret or raw text of the peer; `told` says that the peer named it.
    """

    code = "pairing_failed"
    retryable = False

    def __init__(self, detail: str = "", *, step: str = "") -> None:
        super().__init__(detail or self.code)
        self.detail = detail
        self.step = step
        self.told = False

    @property
    def hint(self) -> str:
        """Key of what to tell the person to do next."""
        return f"pairing.{self.code}"


class MalformedMessageError(PairingError):
    """The peer sent bytes that are not the frame or message expected now."""

    code = "malformed_message"


class UnsupportedVersionError(PairingError):
    """The peer speaks no version of the protocol that we do."""

    code = "unsupported_version"


class ProofFailedError(PairingError):
    """The peer could not prove that it holds the secret or key it must hold."""

    code = "proof_failed"


class PinNeededError(PairingError):
    """The device has a label PIN and none was given."""

    code = "pin_needed"
    retryable = True


class WrongPinError(PairingError):
    """Hub and device do not hold the same PIN."""

    code = "wrong_pin"
    retryable = True


class TooManyTriesError(PairingError):
    """The device has seen too many wrong PINs and answers no more until it is reset by hand."""

    code = "too_many_tries"


class BoundElsewhereError(PairingError):
    """The device belongs to another hub: its owner must let it go, or somebody must reset it by hand."""

    code = "device_bound_elsewhere"


class StaleOfferError(PairingError):
    """The offer's owner epoch is not above the one the device already knows."""

    code = "stale_offer"
    retryable = True


class DeviceBusyError(PairingError):
    """The device is in another conversation."""

    code = "device_busy"
    retryable = True


class RefusedByPersonError(PairingError):
    """The person said that the codes differ, or let the question pass."""

    code = "refused_by_person"
    retryable = True


class PeerSilentError(PairingError):
    """Nothing came within the time of the step."""

    code = "device_silent"
    retryable = True


class ConnectionLostError(PairingError):
    """The connection ended in the middle of the conversation."""

    code = "connection_lost"
    retryable = True


class StorageFailedError(PairingError):
    """One side could not make durable what it must keep."""

    code = "storage_failed"
    retryable = True


class LinkRefusedError(PairingError):
    """The hub refused the link, and proved that it is the hub that says so.

    `reason`: "unknown" (it has no such device), "credential" (another credential is in force), "removed" (the device
    was let go by its owner).
    """

    code = "link_refused"

    def __init__(self, reason: str, *, step: str = "") -> None:
        super().__init__(reason, step=step)
        self.reason = reason


class ChannelBrokenError(PairingError):
    """A sealed frame did not open, or the channel is used up: the connection must end."""

    code = "channel_broken"
    retryable = True
