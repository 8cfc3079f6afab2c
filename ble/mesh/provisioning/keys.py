"""The keys of provisioning (MshPRT 1.1, 5.4.2): P-256, confirmations of both algorithms, the session key."""

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicNumbers,
    derive_private_key,
    generate_private_key,
)
from msgspec import Struct

from ble.mesh.crypto import NotAuthentic, aes_cmac, ccm_open, ccm_seal, hmac_sha256, k1, k5, s1, s2
from ble.mesh.provisioning.errors import DataRefused, PublicKeyInvalid
from ble.mesh.provisioning.pdus import CMAC, POINT_SIZE

_COORDINATE = POINT_SIZE // 2
_MIC_SIZE = 8


class KeyPair:
    """A private key of P-256, fresh unless its scalar is given, and the point that is sent for it."""

    def __init__(self, scalar: bytes | None = None) -> None:
        self._private = _private(scalar)
        numbers = self._private.public_key().public_numbers()
        self.point = numbers.x.to_bytes(_COORDINATE, "big") + numbers.y.to_bytes(_COORDINATE, "big")

    def exchange(self, point: bytes) -> bytes:
        """The ECDH secret. Raises PublicKeyInvalid where `point` is not on the curve (5.4.3.1)."""
        try:
            numbers = EllipticCurvePublicNumbers(
                int.from_bytes(point[:_COORDINATE], "big"), int.from_bytes(point[_COORDINATE:], "big"), SECP256R1()
            )
            return self._private.exchange(ECDH(), numbers.public_key())
        except ValueError as error:
            raise PublicKeyInvalid("not a point of the curve") from error


def _private(scalar: bytes | None) -> EllipticCurvePrivateKey:
    if scalar is None:
        return generate_private_key(SECP256R1())
    return derive_private_key(int.from_bytes(scalar, "big"), SECP256R1())


class Transcript(Struct, frozen=True, kw_only=True):
    """What both ends have heard, and the secret they made of it: everything that the confirmations bind together."""

    invite: bytes
    capabilities: bytes
    start: bytes
    provisioner_point: bytes
    device_point: bytes
    secret: bytes
    algorithm: int
    auth: bytes

    def salt(self) -> bytes:
        """The confirmation salt: s1 of the inputs with CMAC, s2 with HMAC (5.4.2.4.1)."""
        inputs = self.invite + self.capabilities + self.start + self.provisioner_point + self.device_point
        return s1(inputs) if self.algorithm == CMAC else s2(inputs)

    def confirmation(self, nonce: bytes) -> bytes:
        """The confirmation of the side whose random is `nonce`."""
        if self.algorithm == CMAC:
            return aes_cmac(k1(self.secret, self.salt(), b"prck"), nonce + self.auth)
        return hmac_sha256(k5(self.secret + self.auth, self.salt(), b"prck256"), nonce)

    def session(self, provisioner_random: bytes, device_random: bytes) -> "Session":
        salt = s1(self.salt() + provisioner_random + device_random)
        return Session(
            key=k1(self.secret, salt, b"prsk"),
            nonce=k1(self.secret, salt, b"prsn")[-13:],
            device_key=k1(self.secret, salt, b"prdk"),
        )


class Session(Struct, frozen=True, kw_only=True):
    """What protects the data, and the node's device key (5.4.2.5)."""

    key: bytes
    nonce: bytes
    device_key: bytes

    def seal(self, plain: bytes) -> bytes:
        return ccm_seal(self.key, self.nonce, plain, mic_size=_MIC_SIZE)

    def open(self, sealed: bytes) -> bytes:
        """Raises DataRefused."""
        try:
            return ccm_open(self.key, self.nonce, sealed, mic_size=_MIC_SIZE)
        except NotAuthentic as error:
            raise DataRefused("the data does not decrypt") from error
