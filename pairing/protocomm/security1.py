"""Security scheme 1: X25519, the shared secret XOR SHA-256 of the proof of possession, AES-CTR over everything after.

Each side proves that it holds the proof of possession by encrypting the other's public key. AES-CTR detects no
tampering: that is the scheme's, and why scheme 2 is taken where a device offers it.
"""

import hashlib
import hmac
from collections.abc import Generator
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher as AesCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes

from pairing.errors import MalformedMessageError, ProofFailedError
from pairing.protocomm import schema
from pairing.protocomm.calls import SESSION, Call, Calls, Cipher
from pairing.talk import Entropy

SCHEME = 1
KEY_SIZE = 32
RANDOM_SIZE = 16
STEP = "proving"

Answers: TypeAlias = Generator[bytes, bytes, tuple[bytes, Cipher]]
"""A device's side: yields an answer and is sent the next call; returns the last answer and what protects the rest."""


class Keystream:
    """One AES-CTR stream that calls and answers use up in turn."""

    def __init__(self, key: bytes, counter: bytes) -> None:
        self._stream = AesCipher(algorithms.AES(key), modes.CTR(counter)).encryptor()

    def seal(self, plain: bytes) -> bytes:
        return self._stream.update(plain)

    open = seal


def client(pop: bytes, *, entropy: Entropy) -> Calls[Keystream]:
    """The client's side. Raises ProofFailedError where the device does not hold the same proof of possession."""
    private, ours = _key_pair(entropy)
    answer = yield Call(SESSION, _pack(schema.COMMAND0, cmd0={"client_pubkey": ours}), STEP)
    first = _part(answer, "resp0")
    if first.status != schema.SUCCESS:
        raise MalformedMessageError(f"status {first.status}", step=STEP)
    theirs = _sized(first.device_pubkey, KEY_SIZE)
    stream = Keystream(_shared(private, theirs, pop), _sized(first.device_random, RANDOM_SIZE))
    answer = yield Call(SESSION, _pack(schema.COMMAND1, cmd1={"client_verify": stream.seal(theirs)}), STEP)
    second = _part(answer, "resp1")
    if second.status != schema.SUCCESS:
        raise ProofFailedError(f"status {second.status}", step=STEP)
    if not hmac.compare_digest(stream.open(_sized(second.device_verify, KEY_SIZE)), ours):
        raise ProofFailedError("the device's proof does not verify", step=STEP)
    return stream


def device(command: bytes, pop: bytes, *, entropy: Entropy) -> Answers:
    """The device's side, begun by the first call. Raises ProofFailedError where the client's proof does not verify."""
    theirs = _sized(_part(command, "cmd0").client_pubkey, KEY_SIZE)
    private, ours = _key_pair(entropy)
    counter = entropy(RANDOM_SIZE)
    stream = Keystream(_shared(private, theirs, pop), counter)
    command = yield _pack(schema.RESPONSE0, resp0={"device_pubkey": ours, "device_random": counter})
    proof = _sized(_part(command, "cmd1").client_verify, KEY_SIZE)
    if not hmac.compare_digest(stream.open(proof), ours):
        raise ProofFailedError("the client's proof does not verify", step=STEP)
    return _pack(schema.RESPONSE1, resp1={"device_verify": stream.seal(theirs)}), stream


def _key_pair(entropy: Entropy) -> tuple[X25519PrivateKey, bytes]:
    private = X25519PrivateKey.from_private_bytes(entropy(KEY_SIZE))
    return private, private.public_key().public_bytes_raw()


def _shared(private: X25519PrivateKey, theirs: bytes, pop: bytes) -> bytes:
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(theirs))
    except ValueError as error:  # all zero: a point of low order, a key anybody knows
        raise ProofFailedError("public key of low order", step=STEP) from error
    if not pop:
        return shared
    return bytes(a ^ b for a, b in zip(shared, hashlib.sha256(pop).digest(), strict=True))


def _pack(message: int, **part: Any) -> bytes:
    return schema.pack("Session", scheme=SCHEME, sec1={"msg": message, **part})


def _part(raw: bytes, name: str) -> Any:
    session = schema.parse("Session", raw, step=STEP)
    if session.scheme != SCHEME or not session.sec1.HasField(name):
        raise MalformedMessageError(f"no {name} of scheme 1", step=STEP)
    return getattr(session.sec1, name)


def _sized(value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise MalformedMessageError(f"{len(value)} octets for {size}", step=STEP)
    return value
