"""Improv's packets: known octets, round trips, and whatever else may come."""

import time
from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairing.ap.setup import SeenNetwork
from pairing.errors import MalformedMessageError, PairingError
from pairing.improv import messages
from pairing.improv.messages import Capability, Error, Gathering, Packet, State, Verb
from pairing.wifi import WifiNetwork


def test_the_specification_s_own_example() -> None:
    """improv-wifi.com/ble, "RPC Command: Submit Wi-Fi Settings"."""
    packed = messages.pack(messages.wifi(WifiNetwork("MyWirelessAP", "mysecurepassword")))
    assert packed[:2] == b"\x01\x1e"
    assert packed[2:15] == b"\x0cMyWirelessAP"
    assert packed[15:32] == b"\x10mysecurepassword"
    assert packed[-1] == sum(packed[:-1]) & 0xFF
    assert len(packed) == 33


texts = st.lists(st.binary(max_size=40), max_size=6)


@given(verb=st.integers(0, 255), strings=texts, size=st.integers(1, 255))
def test_round_trip_in_parts_of_any_size(verb: int, strings: list[bytes], size: int) -> None:
    packet = Packet(verb, tuple(strings))
    gathering = Gathering()
    *firsts, last = messages.parts(messages.pack(packet), size)
    assert [gathering.add(part) for part in firsts] == [None] * len(firsts)
    assert gathering.add(last) == packet


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="octets"):
        messages.pack(Packet(Verb.SCAN, (bytes(200), bytes(100))))


@pytest.mark.parametrize("raw", [b"", b"\x01", b"\x01\x00", b"\x01\x00\x02", b"\x01\x02\x05a\x69", b"\x01\x01\x00"])
def test_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        messages.parse(raw)


def test_networks_are_strongest_first() -> None:
    said = Packet(Verb.SCAN, (b"far", b"-80", b"WPA2", b"near", b"-40", b"NO"))
    assert messages.networks_of(said) == (SeenNetwork("near", rssi=-40, open=True), SeenNetwork("far", rssi=-80))


def test_what_later_revisions_may_add_is_let_pass() -> None:
    assert messages.error_of(b"\x77") is Error.UNKNOWN
    assert messages.capabilities_of(b"\xff\x01") == messages.ALL
    assert messages.capabilities_of(b"\x01") == Capability.IDENTIFY
    with pytest.raises(MalformedMessageError):
        messages.state_of(b"\x09")


def test_no_password_in_a_log_line() -> None:
    assert "secret" not in repr(messages.wifi(WifiNetwork("home", "secret-word")))


PARSERS: dict[str, Callable[[bytes], object]] = {
    "packet": messages.parse,
    "info": lambda raw: messages.info_of(messages.parse(raw)),
    "networks": lambda raw: messages.networks_of(messages.parse(raw)),
    "redirect": lambda raw: messages.redirect_of(messages.parse(raw)),
    "state": messages.state_of,
    "capabilities": messages.capabilities_of,
}


def mangled(chance: Random) -> bytes:
    """A packet with lengths and sums right more often than chance would have it."""
    strings = tuple(chance.randbytes(chance.randrange(6)) for _ in range(chance.randrange(7)))
    raw = bytearray(messages.pack(Packet(chance.choice([1, 3, 4, chance.randrange(256)]), strings)))
    for _ in range(chance.randrange(3)):
        raw[chance.randrange(len(raw))] = chance.randrange(256)
    if chance.random() < 0.3:
        raw[-1] = sum(raw[:-1]) & 0xFF
    return bytes(raw[: chance.randrange(len(raw) + 1)] if chance.random() < 0.2 else raw)


@pytest.mark.parametrize("kind", PARSERS)
@pytest.mark.parametrize("rounds", [5_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_only_the_package_s_own_error_is_raised(kind: str, rounds: int) -> None:
    chance = Random(f"{kind} {rounds}")
    slowest = 0.0
    for _ in range(rounds):
        raw = mangled(chance)
        began = time.perf_counter()
        with suppress(PairingError):
            PARSERS[kind](raw)
        slowest = max(slowest, time.perf_counter() - began)
    print(f"{kind}: the slowest of {rounds} took {slowest * 1000:.2f} ms")


def test_all_states_are_read() -> None:
    assert [messages.state_of(bytes([each])) for each in State] == list(State)
