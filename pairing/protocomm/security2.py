"""Security scheme 2: SRP-6a over user name and proof of possession, AES-256-GCM over everything after."""

from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pairing.errors import ChannelBrokenError, MalformedMessageError, ProofFailedError
from pairing.protocomm import schema, srp
from pairing.protocomm.calls import SESSION, Call, Calls
from pairing.protocomm.security1 import Answers
from pairing.talk import Entropy

SCHEME = 2
KEY_SIZE = 32
NONCE_SIZE = 12
COUNTER_SIZE = 4
STEP = srp.STEP
MAX_SALT = 64


class Sealed:
    """AES-GCM whose nonce counts calls and answers together. Firmware before patch level 1 never counts (`counts`)."""

    def __init__(self, key: bytes, nonce: bytes, *, counts: bool = True) -> None:
        self._aead = AESGCM(key)
        self._prefix = nonce[:-COUNTER_SIZE]
        self._counter = int.from_bytes(nonce[-COUNTER_SIZE:], "big")
        self._counts = counts

    def seal(self, plain: bytes) -> bytes:
        return self._aead.encrypt(self._next(), plain, None)

    def open(self, sealed: bytes) -> bytes:
        try:
            return self._aead.decrypt(self._next(), sealed, None)
        except InvalidTag as error:
            raise ChannelBrokenError("the tag does not verify") from error

    def _next(self) -> bytes:
        if self._counter >= 1 << (8 * COUNTER_SIZE):
            raise ChannelBrokenError("nonces used up")
        nonce = self._prefix + self._counter.to_bytes(COUNTER_SIZE, "big")
        self._counter += self._counts
        return nonce


def client(login: srp.Login, *, entropy: Entropy, counts: bool = True) -> Calls[Sealed]:
    """The client's side. Raises ProofFailedError where the device's record is of another login."""
    prover = srp.Client(login, entropy)
    opening = {"username": login.username, "client_pubkey": prover.public}
    answer = yield Call(SESSION, _pack(schema.COMMAND0, cmd0=opening), STEP)
    first = _part(answer, "resp0")
    if first.status != schema.SUCCESS or len(first.salt) > MAX_SALT:
        raise MalformedMessageError(f"status {first.status}", step=STEP)
    keys = prover.finish(first.device_pubkey, first.salt)
    answer = yield Call(SESSION, _pack(schema.COMMAND1, cmd1={"client_proof": keys.client_proof}), STEP)
    second = _part(answer, "resp1")
    if second.status != schema.SUCCESS:
        raise ProofFailedError(f"status {second.status}", step=STEP)
    if not srp.same(keys.device_proof, second.device_proof):
        raise ProofFailedError("the device's proof does not verify", step=STEP)
    if len(second.nonce) != NONCE_SIZE:
        raise MalformedMessageError("nonce", step=STEP)
    return Sealed(keys.key[:KEY_SIZE], second.nonce, counts=counts)


def device(command: bytes, record: srp.Record, *, entropy: Entropy) -> Answers:
    """The device's side, begun by the first call. Raises ProofFailedError where the client's proof does not verify."""
    opening = _part(command, "cmd0")
    verifier = srp.Device(record, entropy)
    keys = verifier.finish(opening.client_pubkey)
    # A wrong name fails like a wrong password: only at the end, and alike.
    known = srp.same(record.username, opening.username)
    command = yield _pack(schema.RESPONSE0, resp0={"device_pubkey": verifier.public, "salt": record.salt})
    proof: bytes = _part(command, "cmd1").client_proof
    if not (srp.same(keys.client_proof, proof) and known):
        raise ProofFailedError("the client's proof does not verify", step=STEP)
    nonce = entropy(NONCE_SIZE - COUNTER_SIZE) + (1).to_bytes(COUNTER_SIZE, "big")
    answer = _pack(schema.RESPONSE1, resp1={"device_proof": keys.device_proof, "nonce": nonce})
    return answer, Sealed(keys.key[:KEY_SIZE], nonce)


def _pack(message: int, **part: Any) -> bytes:
    return schema.pack("Session", scheme=SCHEME, sec2={"msg": message, **part})


def _part(raw: bytes, name: str) -> Any:
    session = schema.parse("Session", raw, step=STEP)
    if session.scheme != SCHEME or not session.sec2.HasField(name):
        raise MalformedMessageError(f"no {name} of scheme 2", step=STEP)
    return getattr(session.sec2, name)
