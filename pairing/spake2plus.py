"""SPAKE2+ (RFC 9383) over P-256 with SHA-256, HKDF and HMAC: two sides prove that they hold the same PIN.

The prover (hub) knows the PIN, the verifier (device) may hold only a record made from it. Whoever listens learns
nothing to try PINs against; whoever takes part gets one guess a conversation. Section numbers are those of the RFC.
"""

import hashlib
import hmac

from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccPoint  # type: ignore[attr-defined]  # documented there, not re-exported in its stubs
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from pairing.errors import ProofFailedError
from pairing.talk import Entropy

POINT_SIZE = 65
CONFIRM_SIZE = 32
ITERATIONS = 10_000
"""PBKDF2 rounds from PIN to record; fixed, so that no peer chooses our work."""

_CURVE = "P-256"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_COORDINATE = 32
_SCALAR_MATERIAL = 40  # section 3.2: 64 bits more than the order, so that the remainder is even


_G = ECC.construct(curve=_CURVE, d=1).pointQ
# Section 4: nobody knows the discrete logarithm of either. With the y that is left out there: what reads a compressed
# point imports a reader of key files with it, which is felt at every start.
_M = ECC.construct(
    curve=_CURVE,
    point_x=0x886E2F97ACE46E55BA9DD7242579F2993B64E16EF3DCAB95AFD497333D8FA12F,
    point_y=0x5FF355163E43CE224E0B0E65FF02AC8E5C7BE09419C785E0CA547D55A12E2D20,
).pointQ
_N = ECC.construct(
    curve=_CURVE,
    point_x=0xD8BBD6C639C62937B04D997F38C3770719C629D7014D49A24B4F98BAA1292B49,
    point_y=0x07D60AA6BFADE45008A636337F5168C64D9BD36034808CD564490B1E656EDBE7,
).pointQ


def encode_point(point: EccPoint) -> bytes:
    """Uncompressed (SEC 1, 2.3.3): 0x04, x, y."""
    return b"\x04" + int(point.x).to_bytes(_COORDINATE, "big") + int(point.y).to_bytes(_COORDINATE, "big")


def decode_point(raw: bytes) -> EccPoint:
    """A point of the curve that is not the point at infinity. Raises ProofFailedError."""
    if len(raw) != POINT_SIZE or raw[0] != 4:
        raise ProofFailedError("not an uncompressed point")
    try:
        x, y = int.from_bytes(raw[1:33], "big"), int.from_bytes(raw[33:], "big")
        point = ECC.construct(curve=_CURVE, point_x=x, point_y=y).pointQ
    except ValueError as error:
        raise ProofFailedError("not a point of the curve") from error
    return _proper(point)


def _proper(point: EccPoint) -> EccPoint:
    # Section 6: the cofactor is 1, so infinity is the only small-order point.
    if point.is_point_at_infinity():
        raise ProofFailedError("point at infinity")
    return point


class Secret(Struct, frozen=True):
    """What the prover derives from a PIN: two scalars."""

    w0: int
    w1: int

    def __repr__(self) -> str:
        return "Secret(...)"


class Record(Struct, frozen=True):
    """What the verifier holds: w0 and L = w1*P. Whoever steals it can search for this device's PIN, and no other's."""

    w0: int
    point: bytes

    def __repr__(self) -> str:
        return "Record(...)"


def derive(pin: str, salt: bytes) -> Secret:
    """The prover's scalars: 80 octets of PBKDF2-HMAC-SHA256 over the PIN, each half modulo the order of the curve."""
    material = hashlib.pbkdf2_hmac("sha256", pin.encode(), salt, ITERATIONS, 2 * _SCALAR_MATERIAL)
    return Secret(
        int.from_bytes(material[:_SCALAR_MATERIAL], "big") % _ORDER,
        int.from_bytes(material[_SCALAR_MATERIAL:], "big") % _ORDER,
    )


def register(secret: Secret) -> Record:
    """What a factory writes into the device."""
    return Record(secret.w0, encode_point(_G * secret.w1))


def random_scalar(entropy: Entropy) -> int:
    """Even in 1..order-1."""
    return int.from_bytes(entropy(_SCALAR_MATERIAL), "big") % (_ORDER - 1) + 1


class Keys(Struct, frozen=True):
    """What both sides hold in the end (section 3.4)."""

    confirm_prover: bytes
    confirm_verifier: bytes
    shared: bytes

    def __repr__(self) -> str:
        return "Keys(...)"


class Parties(Struct, frozen=True):
    """What both sides must agree on besides the PIN: the context and the names of both."""

    context: bytes
    prover: bytes
    verifier: bytes


def _hkdf(key: bytes, info: bytes, size: int) -> bytes:
    return HKDF(SHA256(), size, salt=None, info=info).derive(key)


def _schedule(parties: Parties, shares: tuple[bytes, bytes], z: EccPoint, v: EccPoint, w0: int) -> Keys:
    share_p, share_v = shares
    points = (encode_point(_M), encode_point(_N), *shares, encode_point(_proper(z)), encode_point(_proper(v)))
    parts = (parties.context, parties.prover, parties.verifier, *points, w0.to_bytes(_COORDINATE, "big"))
    transcript = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    main = hashlib.sha256(transcript).digest()
    confirm = _hkdf(main, b"ConfirmationKeys", 2 * CONFIRM_SIZE)
    return Keys(
        confirm_prover=hmac.digest(confirm[:CONFIRM_SIZE], share_v, "sha256"),
        confirm_verifier=hmac.digest(confirm[CONFIRM_SIZE:], share_p, "sha256"),
        shared=_hkdf(main, b"SharedKey", 32),
    )


class Prover:
    """The side that was told the PIN. `scalar` is fresh for each conversation."""

    def __init__(self, parties: Parties, secret: Secret, scalar: int) -> None:
        self._parties = parties
        self._secret = secret
        self._scalar = scalar
        self.share = encode_point(_G * scalar + _M * secret.w0)

    def finish(self, share_v: bytes) -> Keys:
        """Raises ProofFailedError for a share that is no proper point."""
        masked = decode_point(share_v) + -(_N * self._secret.w0)
        z, v = masked * self._scalar, masked * self._secret.w1
        return _schedule(self._parties, (self.share, share_v), z, v, self._secret.w0)


class Verifier:
    """The side with the label. `scalar` is fresh for each conversation."""

    def __init__(self, parties: Parties, record: Record, scalar: int) -> None:
        self._parties = parties
        self._record = record
        self._scalar = scalar
        self.share = encode_point(_G * scalar + _N * record.w0)

    def finish(self, share_p: bytes) -> Keys:
        """Raises ProofFailedError for a share that is no proper point."""
        masked = decode_point(share_p) + -(_M * self._record.w0)
        z, v = masked * self._scalar, decode_point(self._record.point) * self._scalar
        return _schedule(self._parties, (share_p, self.share), z, v, self._record.w0)
