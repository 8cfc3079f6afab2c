"""All decoders at once: what a device that does not know how it will be told listens with."""

from collections.abc import Sequence

from pairing.ez.monitor import airkiss, esptouch1, esptouch2, tuya_broadcast
from pairing.ez.monitor.decoded import Decoded, Decoder
from pairing.ez.monitor.tuya_multicast import TuyaMulticast


class Listener:
    """A `Decoder` that is several; the first to decode decides."""

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self._decoders = decoders

    @property
    def locked(self) -> bool:
        return any(decoder.locked for decoder in self._decoders)

    def hear(self, destination: bytes, length: int, now: float) -> Decoded | None:
        found = [decoder.hear(destination, length, now) for decoder in self._decoders]
        return next(filter(None, found), None)


def tuya() -> Listener:
    """Both lanes of Tuya EZ."""
    return Listener([TuyaMulticast(), tuya_broadcast.decoder()])


def every(key: bytes = b"") -> Listener:
    """Every encoding; `key` is ESP-TOUCH v2's, if the device was built with one."""
    return Listener([tuya(), esptouch1.decoder(), esptouch2.decoder(key), airkiss.decoder()])
