"""The upper transport layer (Mesh Protocol 1.1, 3.6): payloads sealed with an application's or a device's key."""

from collections.abc import Iterable

from msgspec import Struct

from ble.errors import Malformed
from ble.mesh.crypto import NotAuthentic, ccm_open, ccm_seal

MAX_UPPER = 384
HEARTBEAT = 0x0A
_APPLICATION, _DEVICE = 0x01, 0x02


class Envelope(Struct, frozen=True, kw_only=True):
    """What the nonce of a message is made of. `seq` is that of its first segment."""

    application: bool
    szmic: bool
    seq: int
    src: int
    dst: int
    iv_index: int

    @property
    def nonce(self) -> bytes:
        """The application nonce (3.9.5.2) or the device nonce (3.9.5.3), of 13 octets."""
        first = bytes((_APPLICATION if self.application else _DEVICE, self.szmic << 7))
        addresses = self.src.to_bytes(2, "big") + self.dst.to_bytes(2, "big")
        return first + self.seq.to_bytes(3, "big") + addresses + self.iv_index.to_bytes(4, "big")

    @property
    def mic_size(self) -> int:
        return 8 if self.szmic else 4


def seal(payload: bytes, key: bytes, envelope: Envelope, label: bytes = b"") -> bytes:
    """The upper transport PDU. `label` is the label UUID of a virtual destination. Raises Malformed."""
    if not payload or len(payload) + envelope.mic_size > MAX_UPPER:
        raise Malformed("an access payload of no such length")
    return ccm_seal(key, envelope.nonce, payload, mic_size=envelope.mic_size, aad=label)


def unseal(
    sealed: bytes, keys: Iterable[bytes], envelope: Envelope, labels: Iterable[bytes] = (b"",)
) -> tuple[bytes, bytes, bytes]:
    """The payload, and the key and the label that opened it. Raises NotAuthentic where none does."""
    tried = list(labels)
    for key in keys:
        for label in tried:
            try:
                return ccm_open(key, envelope.nonce, sealed, mic_size=envelope.mic_size, aad=label), key, label
            except NotAuthentic:
                continue
    raise NotAuthentic("no key for this message")


class Heartbeat(Struct, frozen=True):
    """A node's sign of life (3.6.5.10): the TTL it was sent with, and the node's features in use."""

    initial_ttl: int
    features: int

    def pack(self) -> bytes:
        return bytes((self.initial_ttl,)) + self.features.to_bytes(2, "big")


def read_heartbeat(parameters: bytes) -> Heartbeat:
    """Raises Malformed."""
    if len(parameters) != 3:
        raise Malformed("not a heartbeat")
    return Heartbeat(parameters[0] & 0x7F, int.from_bytes(parameters[1:], "big"))
