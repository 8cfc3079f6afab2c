"""The datagram of Tuya's older AP mode: bytes laid out by hand, what is taken, what is not."""

import json
import struct
import zlib
from random import Random

import pytest

from pairing.ap import tuya
from pairing.errors import MalformedMessageError, PairingError
from pairing.wifi import Provisioned, UnfitNetworkError, WifiNetwork

TOKEN = b"EUa1b2c3d4WXYZ"
HOME = WifiNetwork("home", "secret-pass")


def framed(payload: bytes, *, kind: int = 1, suffix: int = 0xAA55, crc: int | None = None, extra: int = 0) -> bytes:
    head = struct.pack(">IIII", 0x55AA, 0, kind, len(payload) + 8 + extra) + payload
    return head + struct.pack(">II", zlib.crc32(head) if crc is None else crc, suffix)


def test_the_datagram_is_that_of_the_firmware() -> None:
    payload = b'{"ssid":"home","passwd":"secret-pass","token":"EUa1b2c3d4WXYZ"}'
    packed = tuya.pack(HOME, TOKEN)
    assert packed == framed(payload)
    assert packed[:16] == bytes.fromhex("000055aa0000000000000001") + (len(payload) + 8).to_bytes(4, "big")
    assert packed[-4:] == bytes.fromhex("0000aa55")
    assert tuya.parse(packed) == Provisioned(HOME, TOKEN)


@pytest.mark.parametrize("ssid", ["ü" * 16, "☕🏠" * 4, '"\\', "a"])
@pytest.mark.parametrize("password", ["", "12345678", "p" * 63, "\\\"'" * 5])
def test_every_network_comes_back_byte_for_byte(ssid: str, password: str) -> None:
    network = WifiNetwork(ssid, password)
    assert tuya.parse(tuya.pack(network, TOKEN)) == Provisioned(network, TOKEN)


def test_what_the_firmware_would_cut_is_refused_before_it_is_sent() -> None:
    with pytest.raises(UnfitNetworkError):
        tuya.pack(WifiNetwork('"' * 32, '"' * 63), TOKEN)


def test_sequence_and_checksum_are_not_looked_at_as_the_firmware_does_not() -> None:
    payload = json.dumps({"ssid": "home", "passwd": "secret-pass", "token": TOKEN.decode()}).encode()
    assert tuya.parse(framed(payload, crc=0)) == Provisioned(HOME, TOKEN)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes(24),
        framed(b"{}"),
        framed(b'{"ssid":"home"}', kind=2),
        framed(b'{"ssid":"home"}', suffix=0),
        framed(b'{"ssid":"home"}', extra=1),
        framed(b'{"ssid":7}'),
        framed(b'{"ssid":"home","token":"\xc3\xbc"}'),
        framed(b"[" * 200),
        framed(b'{"ssid":"' + b"x" * 250 + b'"}'),
    ],
)
def test_what_is_no_such_datagram_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        tuya.parse(raw)


def fuzz(seed: int, count: int) -> None:
    chance = Random(seed)
    valid = tuya.pack(HOME, TOKEN)
    fine = 0
    for _ in range(count):
        payload = bytearray(valid[16:-8])
        for _ in range(chance.randrange(4)):
            where = chance.randrange(len(payload))
            payload[where : where + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        raw = framed(bytes(payload)) if chance.random() < 0.8 else valid[: chance.randrange(len(valid))]
        try:
            tuya.parse(raw)
        except PairingError:
            continue
        fine += 1
    assert 0 < fine < count


def test_mangled_datagrams_raise_only_our_error() -> None:
    fuzz(1, 3_000)


@pytest.mark.full
def test_a_million_mangled_datagrams_raise_only_our_error() -> None:
    fuzz(2, 1_000_000)
