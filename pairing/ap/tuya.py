"""The one datagram of Tuya's older AP mode: UDP 6669, JSON in a 55AA frame, nothing of it protected.

Prefix, sequence, type, length of what follows, payload, CRC-32 of all before it, suffix; big-endian. Firmware ignores
sequence and CRC; we write them right, and as a device insist on them no more than it does.
"""

import struct
import zlib
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from pairing.errors import MalformedMessageError
from pairing.wifi import Provisioned, UnfitNetworkError, WifiNetwork, network_of

ADDRESSES = ("192.168.175.1", "192.168.176.1", "192.168.43.1")
"""The setup network's gateway, by generation of firmware."""
PORT = 6669
MAX_PAYLOAD = 232
MAX_FRAME = 16 + MAX_PAYLOAD + 8

_HEAD = struct.Struct(">IIII")
_TAIL = struct.Struct(">II")
_PREFIX, _SUFFIX = 0x000055AA, 0x0000AA55
_TYPE = 1


class _Payload(Struct, frozen=True):
    ssid: Annotated[str, Meta(max_length=32)]
    passwd: Annotated[str, Meta(max_length=64)] = ""
    token: Annotated[str, Meta(max_length=64)] = ""


_payload = msgspec.json.Decoder(_Payload)


def pack(network: WifiNetwork, token: bytes) -> bytes:
    """The datagram. Raises UnfitNetworkError where it would be longer than the firmware reads."""
    payload = msgspec.json.encode(_Payload(network.ssid, network.password, token.decode("ascii")))
    if len(payload) > MAX_PAYLOAD:
        raise UnfitNetworkError(f"{len(payload)} octets of JSON", step="sending")
    frame = _HEAD.pack(_PREFIX, 0, _TYPE, len(payload) + _TAIL.size) + payload
    return frame + _TAIL.pack(zlib.crc32(frame), _SUFFIX)


def parse(raw: bytes) -> Provisioned:
    """What a device is told by it. Raises MalformedMessageError, UnfitNetworkError."""
    if not _HEAD.size + _TAIL.size <= len(raw) <= MAX_FRAME:
        raise MalformedMessageError(f"{len(raw)} octets")
    prefix, _sequence, kind, length = _HEAD.unpack_from(raw)
    _crc, suffix = _TAIL.unpack(raw[-_TAIL.size :])
    if (prefix, kind, suffix, length) != (_PREFIX, _TYPE, _SUFFIX, len(raw) - _HEAD.size):
        raise MalformedMessageError("no frame of type 1")
    try:
        told = _payload.decode(raw[_HEAD.size : -_TAIL.size])
        token = told.token.encode("ascii")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedMessageError("no ssid, passwd, token") from error
    return Provisioned(network_of(told.ssid, told.passwd), token)
