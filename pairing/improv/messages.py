"""What is written and read over Improv's five characteristics: states, errors, commands and their results."""

from enum import IntEnum, IntFlag
from typing import Final

from msgspec import Struct

from pairing.ap.setup import SeenNetwork
from pairing.errors import MalformedMessageError
from pairing.text import clean
from pairing.wifi import WifiNetwork

SERVICE: Final = "00467768-6228-2272-4663-277478268000"
STATE: Final = "00467768-6228-2272-4663-277478268001"
ERROR: Final = "00467768-6228-2272-4663-277478268002"
COMMAND: Final = "00467768-6228-2272-4663-277478268003"
RESULT: Final = "00467768-6228-2272-4663-277478268004"
CAPABILITIES: Final = "00467768-6228-2272-4663-277478268005"

MAX_DATA: Final = 255
"""Octets of a command's or a result's data: its length is one octet."""
MAX_PACKET: Final = 2 + MAX_DATA + 1


class State(IntEnum):
    """What the device lets be done. Only an AUTHORIZED one takes a network."""

    AUTHORIZATION_REQUIRED = 1
    AUTHORIZED = 2
    PROVISIONING = 3
    PROVISIONED = 4


class Error(IntEnum):
    """Why the last command came to nothing."""

    NONE = 0
    INVALID_PACKET = 1
    UNKNOWN_COMMAND = 2
    UNABLE_TO_CONNECT = 3
    NOT_AUTHORIZED = 4
    BAD_HOSTNAME = 5
    UNKNOWN = 0xFF


class Capability(IntFlag):
    """Which commands besides WIFI the device knows."""

    NONE = 0
    IDENTIFY = 1
    INFO = 2
    SCAN = 4
    HOSTNAME = 8


ALL: Final = Capability.IDENTIFY | Capability.INFO | Capability.SCAN | Capability.HOSTNAME


class Verb(IntEnum):
    """The commands."""

    WIFI = 1
    IDENTIFY = 2
    INFO = 3
    SCAN = 4
    HOSTNAME = 5
    DEVICE_NAME = 6


class Packet(Struct, frozen=True):
    """A command, or what came of one. `texts`: its strings; a command without any has none."""

    verb: int
    texts: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"Packet(verb={self.verb}, texts={len(self.texts)})"  # one of them may be a password


class Info(Struct, frozen=True):
    """What a device says of itself."""

    firmware: str
    version: str
    hardware: str
    name: str


def pack(packet: Packet) -> bytes:
    """As it is written. Raises ValueError where it does not fit."""
    data = b"".join(bytes([len(text)]) + text for text in packet.texts)
    if len(data) > MAX_DATA:
        raise ValueError(f"{len(data)} octets in one packet")
    head = bytes([packet.verb, len(data)]) + data
    return head + bytes([sum(head) & 0xFF])


def parse(raw: bytes) -> Packet:
    """Raises MalformedMessageError: a length or the checksum is wrong."""
    if len(raw) < 3 or len(raw) != 3 + raw[1]:
        raise MalformedMessageError("length")
    if sum(raw[:-1]) & 0xFF != raw[-1]:
        raise MalformedMessageError("checksum")
    data, texts = raw[2:-1], []
    while data:
        length = data[0]
        if len(data) < 1 + length:
            raise MalformedMessageError("string too long")
        texts.append(data[1 : 1 + length])
        data = data[1 + length :]
    return Packet(raw[0], tuple(texts))


def parts(raw: bytes, size: int) -> tuple[bytes, ...]:
    """The writes, or notifications, of at most `size` octets that make up a packet."""
    return tuple(raw[start : start + size] for start in range(0, len(raw), size))


class Gathering:
    """Puts a packet together that comes in parts; a part that begins nothing is an error, not a loss."""

    def __init__(self) -> None:
        self._held = b""

    def add(self, part: bytes) -> Packet | None:
        """The packet, once it is whole. Raises MalformedMessageError; what was gathered is forgotten then."""
        self._held += part
        if len(self._held) < 2 or len(self._held) < 3 + self._held[1]:
            return None
        whole, self._held = self._held, b""
        return parse(whole)

    def forget(self) -> None:
        """Whoever wrote is gone."""
        self._held = b""


def wifi(network: WifiNetwork) -> Packet:
    """Have the device join it."""
    return Packet(Verb.WIFI, (network.ssid.encode(), network.password.encode()))


def state_of(raw: bytes) -> State:
    """Raises MalformedMessageError."""
    return State(_number(raw, State))


def error_of(raw: bytes) -> Error:
    """An error that no revision has is UNKNOWN. Raises MalformedMessageError."""
    if len(raw) != 1:
        raise MalformedMessageError("error")
    return Error(raw[0]) if raw[0] in set(Error) else Error.UNKNOWN


def capabilities_of(raw: bytes) -> Capability:
    """Bits that no revision has are left out. Raises MalformedMessageError."""
    if not raw:
        raise MalformedMessageError("capabilities")
    return Capability(raw[0] & ALL)


def info_of(result: Packet) -> Info:
    """Raises MalformedMessageError."""
    if result.verb != Verb.INFO or len(result.texts) < 4:
        raise MalformedMessageError("device information")
    return Info(*(_text(text) for text in result.texts[:4]))


def networks_of(result: Packet) -> tuple[SeenNetwork, ...]:
    """Strongest first. Raises MalformedMessageError."""
    if result.verb != Verb.SCAN or len(result.texts) % 3:
        raise MalformedMessageError("networks")
    triples = zip(*[iter(result.texts)] * 3, strict=True)
    seen = [SeenNetwork(_text(name), rssi=_rssi(rssi), open=_is_open(auth)) for name, rssi, auth in triples]
    return tuple(sorted(seen, key=lambda network: -network.rssi))


def redirect_of(result: Packet) -> str:
    """Where the device says its page is, "" where it does not. Raises MalformedMessageError."""
    if result.verb != Verb.WIFI:
        raise MalformedMessageError("result of another command")
    return clean(result.texts[0].decode(errors="replace"), MAX_DATA) if result.texts else ""


def _number(raw: bytes, kind: type[State]) -> int:
    if len(raw) != 1 or raw[0] not in set(kind):
        raise MalformedMessageError(kind.__name__.lower())
    return raw[0]


def _text(raw: bytes) -> str:
    return clean(raw.decode(errors="replace"))


def _rssi(raw: bytes) -> int:
    try:
        return max(-127, min(20, int(raw)))
    except ValueError:
        raise MalformedMessageError("signal strength") from None


def _is_open(auth: bytes) -> bool:
    return auth.upper() in (b"", b"NO", b"NONE", b"OPEN")
