"""The Noise Protocol Framework, revision 34, as far as used: XXpsk3 and KKpsk0 over 25519, ChaChaPoly, SHA-256.

Section numbers in comments are those of the specification (noiseprotocol.org/noise.html).
"""

from hashlib import sha256
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from pairing.errors import ChannelBrokenError, MalformedMessageError, ProofFailedError
from pairing.talk import Entropy

KEY_SIZE = 32
TAG_SIZE = 16
MAX_NONCE = 2**32 - 1  # ours, far below the 2^64 - 2 of section 5.1: a channel older than this is made anew

Words: TypeAlias = tuple[str, ...]  # the tokens of section 7: e, s, ee, es, se, ss, psk


class Pattern(Struct, frozen=True):
    """A handshake pattern: its messages, and whether both static keys are known beforehand (section 7)."""

    name: str
    known: bool
    messages: tuple[Words, ...]

    @property
    def protocol_name(self) -> bytes:
        return f"Noise_{self.name}_25519_ChaChaPoly_SHA256".encode()


XX_PSK3 = Pattern("XXpsk3", known=False, messages=(("e",), ("e", "ee", "s", "es"), ("s", "se", "psk")))
KK_PSK0 = Pattern("KKpsk0", known=True, messages=(("psk", "e", "es", "ss"), ("e", "ee", "se")))


def public_key(private: bytes) -> bytes:
    """The X25519 public key of a private one, both 32 octets."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def dh(private: bytes, public: bytes) -> bytes:
    """X25519 of both. Raises ProofFailedError where the peer's key is of low order (the result would be zero)."""
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise ProofFailedError("weak public key") from error


def _hkdf(chaining_key: bytes, material: bytes, outputs: int) -> tuple[bytes, ...]:
    # Section 4.3: HKDF is that of RFC 5869 with the chaining key as salt and no info.
    okm = HKDF(SHA256(), KEY_SIZE * outputs, salt=chaining_key, info=b"").derive(material)
    return tuple(okm[i : i + KEY_SIZE] for i in range(0, len(okm), KEY_SIZE))


class CipherState:
    """One direction's key and counter (section 5.1)."""

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(key)
        self._nonce = 0

    def _next(self) -> bytes:
        if self._nonce >= MAX_NONCE:
            raise ChannelBrokenError("used up")
        nonce = bytes(4) + self._nonce.to_bytes(8, "little")  # section 12.3
        self._nonce += 1
        return nonce

    def encrypt(self, plaintext: bytes, associated: bytes = b"") -> bytes:
        return self._aead.encrypt(self._next(), plaintext, associated)

    def decrypt(self, ciphertext: bytes, associated: bytes = b"") -> bytes:
        """Raises ProofFailedError where key, counter, associated data or ciphertext do not belong together."""
        if len(ciphertext) < TAG_SIZE:
            raise MalformedMessageError("shorter than its tag")
        try:
            return self._aead.decrypt(self._next(), ciphertext, associated)
        except InvalidTag as error:
            raise ProofFailedError("does not open") from error


class _Symmetric:
    """Chaining key, hash and current cipher of a handshake (section 5.2)."""

    def __init__(self, name: bytes, prologue: bytes) -> None:
        self.hash = name.ljust(KEY_SIZE, b"\0") if len(name) <= KEY_SIZE else sha256(name).digest()
        self._chaining_key = self.hash
        self._cipher: CipherState | None = None
        self.mix_hash(prologue)

    def mix_hash(self, data: bytes) -> None:
        self.hash = sha256(self.hash + data).digest()

    def mix_key(self, material: bytes) -> None:
        self._chaining_key, key = _hkdf(self._chaining_key, material, 2)
        self._cipher = CipherState(key)

    def mix_key_and_hash(self, material: bytes) -> None:
        self._chaining_key, mixed, key = _hkdf(self._chaining_key, material, 3)
        self.mix_hash(mixed)
        self._cipher = CipherState(key)

    def seal(self, plaintext: bytes) -> bytes:
        sealed = self._cipher.encrypt(plaintext, self.hash) if self._cipher else plaintext
        self.mix_hash(sealed)
        return sealed

    def open(self, sealed: bytes) -> bytes:
        plaintext = self._cipher.decrypt(sealed, self.hash) if self._cipher else sealed
        self.mix_hash(sealed)
        return plaintext

    @property
    def overhead(self) -> int:
        return TAG_SIZE if self._cipher else 0

    def split(self) -> tuple[CipherState, CipherState]:
        first, second = _hkdf(self._chaining_key, b"", 2)
        return CipherState(first), CipherState(second)


class Handshake:
    """One side of a handshake (section 5.3): `write` and `read` in turn, then `split`.

    `static` is our private key; `remote` the peer's public one where the pattern knows it beforehand.
    """

    def __init__(
        self,
        pattern: Pattern,
        *,
        initiator: bool,
        static: bytes,
        psk: bytes,
        prologue: bytes,
        entropy: Entropy,
        remote: bytes | None = None,
    ) -> None:
        self._state = _Symmetric(pattern.protocol_name, prologue)
        self._initiator = initiator
        self._static = static
        self._psk = psk
        self._entropy = entropy
        self._messages = list(pattern.messages)
        self._ephemeral = b""
        self._remote_ephemeral = b""
        self.remote = remote or b""
        if pattern.known:
            ours = public_key(static)
            for key in (ours, self.remote) if initiator else (self.remote, ours):
                self._state.mix_hash(key)

    @property
    def hash(self) -> bytes:
        """The handshake hash: unique to this conversation, the same on both sides (section 11.2)."""
        return self._state.hash

    def write(self, payload: bytes = b"") -> bytes:
        """Our next handshake message."""
        message = b"".join(self._write_word(word) for word in self._messages.pop(0))
        return message + self._state.seal(payload)

    def read(self, message: bytes) -> bytes:
        """The payload of the peer's next message. Raises MalformedMessageError, ProofFailedError."""
        for word in self._messages.pop(0):
            message = self._read_word(word, message)
        return self._state.open(message)

    def ephemeral_secret(self) -> bytes:
        """X25519 of our ephemeral and the peer's static key: a secret only both of us can make."""
        return dh(self._ephemeral, self.remote)

    def split(self) -> tuple[CipherState, CipherState]:
        """(to send with, to receive with), once all messages have passed."""
        first, second = self._state.split()
        return (first, second) if self._initiator else (second, first)

    def _write_word(self, word: str) -> bytes:
        if word == "e":
            self._ephemeral = self._entropy(KEY_SIZE)
            public = public_key(self._ephemeral)
            self._mix_ephemeral(public)
            return public
        if word == "s":
            return self._state.seal(public_key(self._static))
        self._mix(word)
        return b""

    def _read_word(self, word: str, message: bytes) -> bytes:
        if word not in ("e", "s"):
            self._mix(word)
            return message
        size = KEY_SIZE + (self._state.overhead if word == "s" else 0)
        if len(message) < size:
            raise MalformedMessageError("handshake message too short")
        if word == "e":
            self._remote_ephemeral = message[:size]
            self._mix_ephemeral(self._remote_ephemeral)
        else:
            self.remote = self._state.open(message[:size])
        return message[size:]

    def _mix_ephemeral(self, public: bytes) -> None:
        self._state.mix_hash(public)
        self._state.mix_key(public)  # section 9.2: in psk handshakes an ephemeral is mixed into the key as well

    def _mix(self, word: str) -> None:
        if word == "psk":
            self._state.mix_key_and_hash(self._psk)
            return
        # Two letters: the initiator's key, then the responder's.
        ours, theirs = (word[0], word[1]) if self._initiator else (word[1], word[0])
        private = self._ephemeral if ours == "e" else self._static
        public = self._remote_ephemeral if theirs == "e" else self.remote
        self._state.mix_key(dh(private, public))
