"""SRP-6a over the 3072-bit group of RFC 5054 with SHA-512, with the paddings of ESP-IDF. Numbers only, no messages.

Multiplier and scrambler hash their numbers padded to the group's size; everything else hashes octets as they came.
Public values and salts made here begin with a non-zero octet: implementations differ in whether they keep a zero one.
"""

import hashlib
import hmac

from msgspec import Struct

from pairing.errors import ProofFailedError
from pairing.talk import Entropy

SIZE = 384
SALT_SIZE = 16
PROOF_SIZE = 64
SECRET_SIZE = 32
STEP = "proving"

GENERATOR = 5
PRIME = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7"
    "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C"
    "BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
    16,
)


class Login(Struct, frozen=True):
    """Who proves itself, and with what: user name and proof of possession."""

    username: bytes
    password: bytes

    def __repr__(self) -> str:
        return f"Login(username={self.username!r})"


class Record(Struct, frozen=True):
    """What a device keeps of a login: enough to check it, too little to use it without a search."""

    username: bytes
    salt: bytes
    verifier: int


class Keys(Struct, frozen=True):
    """What both sides know afterwards: the session's key, and the proofs that they do."""

    key: bytes
    client_proof: bytes
    device_proof: bytes

    def __repr__(self) -> str:
        return "Keys()"


def register(login: Login, entropy: Entropy) -> Record:
    """A record of the login with a fresh salt."""
    salt = b"\0"
    while salt[0] == 0:
        salt = entropy(SALT_SIZE)
    return Record(login.username, salt, pow(GENERATOR, _private_key(login, salt), PRIME))


class Client:
    """One proof of a login. `public` goes to the device."""

    def __init__(self, login: Login, entropy: Entropy) -> None:
        self._login = login
        self._secret, public = _ephemeral(entropy, 0)
        self.public = _octets(public)

    def finish(self, device_public: bytes, salt: bytes) -> Keys:
        """Raises ProofFailedError for a public value nobody honest sends."""
        theirs = _checked(device_public)
        private = _private_key(self._login, salt)
        exponent = self._secret + _scrambler(self.public, device_public) * private
        secret = pow(theirs - _MULTIPLIER * pow(GENERATOR, private, PRIME), exponent, PRIME)
        return _keys(self._login.username, salt, self.public, device_public, secret)


class Device:
    """One check of a login. `public` and the record's salt go to the client."""

    def __init__(self, record: Record, entropy: Entropy) -> None:
        self._record = record
        self._secret, public = _ephemeral(entropy, _MULTIPLIER * record.verifier)
        self.public = _octets(public)

    def finish(self, client_public: bytes) -> Keys:
        """Raises ProofFailedError for a public value nobody honest sends."""
        theirs = _checked(client_public)
        scrambled = pow(self._record.verifier, _scrambler(client_public, self.public), PRIME)
        secret = pow(theirs * scrambled, self._secret, PRIME)
        return _keys(self._record.username, self._record.salt, client_public, self.public, secret)


def same(ours: bytes, theirs: bytes) -> bool:
    """Whether both proofs are equal, in constant time."""
    return hmac.compare_digest(ours, theirs)


def _hash(*parts: bytes) -> bytes:
    return hashlib.sha512(b"".join(parts)).digest()


def _octets(number: int) -> bytes:
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")


def _padded(octets: bytes) -> bytes:
    return octets.rjust(SIZE, b"\0")


_MULTIPLIER = int.from_bytes(_hash(_octets(PRIME), _padded(_octets(GENERATOR))), "big")
_GROUP_HASH = bytes(a ^ b for a, b in zip(_hash(_octets(PRIME)), _hash(_padded(_octets(GENERATOR))), strict=True))


def _ephemeral(entropy: Entropy, offset: int) -> tuple[int, int]:
    while True:
        secret = int.from_bytes(entropy(SECRET_SIZE), "big")
        public = (offset + pow(GENERATOR, secret, PRIME)) % PRIME
        if secret > 1 and len(_octets(public)) == SIZE:
            return secret, public


def _checked(public: bytes) -> int:
    value = int.from_bytes(public, "big")
    if len(public) > SIZE or value % PRIME == 0:
        raise ProofFailedError("public value of no use", step=STEP)
    return value


def _scrambler(client_public: bytes, device_public: bytes) -> int:
    scrambler = int.from_bytes(_hash(_padded(client_public), _padded(device_public)), "big")
    if scrambler == 0:
        raise ProofFailedError("scrambler of no use", step=STEP)
    return scrambler


def _private_key(login: Login, salt: bytes) -> int:
    return int.from_bytes(_hash(salt, _hash(login.username, b":", login.password)), "big")


def _keys(username: bytes, salt: bytes, client_public: bytes, device_public: bytes, secret: int) -> Keys:
    key = _hash(_octets(secret))
    client_proof = _hash(_GROUP_HASH, _hash(username), salt, client_public, device_public, key)
    return Keys(key, client_proof, _hash(client_public, client_proof, key))
