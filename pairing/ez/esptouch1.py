"""ESP-TOUCH v1: every octet of the record in three lengths, with its index and a CRC of its own."""

import ipaddress
from collections.abc import Iterable
from functools import reduce
from operator import xor

from pairing.ez import numbers as n
from pairing.ez.crc8 import crc8
from pairing.ez.frames import Credentials, Datagram, broadcasts, checked
from pairing.talk import Entropy

GAP = 0.008
GUIDE_ROUNDS = 40
"""Guides at the start of an attempt: 1.3 s, in which a device that hops has been on every channel."""
DATA_ROUNDS = 5
_BSSID_EVERY, _BSSID_FIRST = 4, 5


def encode(credentials: Credentials, entropy: Entropy) -> list[Datagram]:
    """One attempt, to be repeated. Raises UnsendableError, UnfitNetworkError. Nothing in it is random."""
    guide = broadcasts(n.ESPTOUCH1_GUIDE, port=n.ESPTOUCH_PORT, gap=GAP)
    data = broadcasts(data_lengths(credentials), port=n.ESPTOUCH_PORT, gap=GAP)
    return guide * GUIDE_ROUNDS + (guide + data) * DATA_ROUNDS


def data_lengths(credentials: Credentials) -> list[int]:
    """The lengths of one round of data."""
    record = _record(checked(credentials))
    codewords = [_codeword(octet, index) for index, octet in enumerate(record)]
    for i, octet in enumerate(credentials.bssid):
        codewords.insert(_BSSID_FIRST + i * _BSSID_EVERY, _codeword(octet, len(record) + i))
    return [length for codeword in codewords for length in codeword]


def _record(credentials: Credentials) -> bytes:
    password, ssid = credentials.password, credentials.ssid
    total = n.ESPTOUCH1_HEAD + len(password) + len(ssid)
    before = bytes([total, len(password), crc8(ssid), crc8(credentials.bssid)])
    after = ipaddress.IPv4Address(credentials.sender).packed + password + ssid
    return before + bytes([_xor(before + after)]) + after


def _xor(octets: Iterable[int]) -> int:
    return reduce(xor, octets, 0)


def _codeword(octet: int, index: int) -> tuple[int, int, int]:
    check = crc8((octet, index))
    high, low = check & 0xF0 | octet >> 4, (check & 0xF) << 4 | octet & 0xF
    return n.ESPTOUCH1_OFFSET + high, n.ESPTOUCH1_INDEX + index, n.ESPTOUCH1_OFFSET + low
