"""How provisioning ends where it does not end well."""

from ble.errors import BleError, Malformed


class ProvisioningError(BleError):
    """The root. `octet` is what a device says in its Failed PDU (MshPRT 1.1, table 5.40)."""

    code = "provisioning"
    octet = 0x07


class PduInvalid(ProvisioningError, Malformed):
    """A provisioning PDU that is none, or has the wrong length or a prohibited value."""

    code = "provisioning_pdu_invalid"
    octet = 0x02


class PduUnknown(PduInvalid):
    """A provisioning PDU of a type that is reserved."""

    code = "provisioning_pdu_unknown"
    octet = 0x01


class PduUnexpected(ProvisioningError):
    """A provisioning PDU that is not due now."""

    code = "provisioning_pdu_unexpected"
    octet = 0x03


class PublicKeyReflected(ProvisioningError):
    """The peer sent our own public key back (CVE-2020-26556 and its kin)."""

    code = "public_key_reflected"
    octet = 0x02
    hint = "This device does not behave as an honest one: keep it out."


class PublicKeyInvalid(ProvisioningError):
    """The peer's public key is no point of the curve, or not the one that was given out of band."""

    code = "public_key_invalid"
    octet = 0x02
    hint = "This device does not behave as an honest one: keep it out."


class ConfirmationReflected(ProvisioningError):
    """The peer sent our own confirmation back (CVE-2020-26560)."""

    code = "confirmation_reflected"
    octet = 0x04
    hint = "This device does not behave as an honest one: keep it out."


class RandomReflected(ProvisioningError):
    """The peer sent our own random number back (CVE-2020-26560)."""

    code = "random_reflected"
    octet = 0x04
    hint = "This device does not behave as an honest one: keep it out."


class ConfirmationFailed(ProvisioningError):
    """The peer did not know the same secret: the code was mistyped, or somebody stands between."""

    code = "confirmation_failed"
    octet = 0x04
    retryable = True
    hint = "Compare the code with what the device shows, and try again."


class DataRefused(ProvisioningError):
    """The provisioning data did not decrypt, or says what it must not."""

    code = "provisioning_data_refused"
    octet = 0x06


class NoCommonMethod(ProvisioningError):
    """The device offers no algorithm or no way of authentication that is allowed here."""

    code = "no_common_method"
    octet = 0x07
    hint = "Have the code on the device's label or its display at hand."


class NotAccepted(ProvisioningError):
    """The person says that another device is meant."""

    code = "not_accepted"


class RefusedByDevice(ProvisioningError):
    """The device ended it with a Failed PDU; `octet` is its reason."""

    code = "refused_by_device"
    retryable = True
    hint = "Switch the device off and on, and try again."

    def __init__(self, octet: int) -> None:
        super().__init__(REASONS.get(octet, f"reason {octet:#04x}"))
        self.octet = octet


class ProvisioningTimedOut(ProvisioningError):
    """The peer did not answer in time."""

    code = "provisioning_timed_out"
    retryable = True
    hint = "Bring the device nearer, and check that it is still in pairing mode."


REASONS = {
    0x01: "invalid PDU",
    0x02: "invalid format",
    0x03: "unexpected PDU",
    0x04: "confirmation failed",
    0x05: "out of resources",
    0x06: "decryption failed",
    0x07: "unexpected error",
    0x08: "cannot assign addresses",
    0x09: "invalid data",
}
"""What the octet of a Failed PDU means."""
