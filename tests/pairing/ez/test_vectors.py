"""Encoders against what other programs send, octet for octet, and numbers against what their formats publish."""

import ast
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pairing.ez import esptouch1, esptouch2, tuya
from pairing.ez import monitor as monitor_package
from pairing.ez.crc8 import crc8
from pairing.ez.encodings import ENCODINGS
from pairing.ez.frames import Credentials, Datagram, UnsendableError, interleaved
from pairing.talk import Entropy
from pairing.wifi import SsidLengthError, WifiNetwork, network_of
from tests.pairing.ez.references import ESPTOUCH2_KEY, EXAMPLE, load

LINK = load("tuyapi_link.json")["cases"]
VECTORS = load("vectors.json")


def no_entropy(size: int) -> bytes:
    raise AssertionError("nothing random here")


def in_turn(*given: bytes) -> Entropy:
    left = list(given)

    def entropy(size: int) -> bytes:
        octets = left.pop(0) if size else b""
        assert len(octets) == size
        return octets

    return entropy


def test_the_published_check_of_crc8() -> None:
    assert crc8(b"123456789") == 0xA1


@pytest.mark.parametrize("case", LINK, ids=lambda case: f"{len(case['body'])}")
def test_tuya_broadcast_is_tuyapi_links(case: dict[str, Any]) -> None:
    network = network_of(case["ssid"], case["password"])
    assert tuya.broadcast_lane(Credentials(network=network, token=case["token"].encode())) == case["body"]


def test_tuya_broadcast_is_tuya_converts_but_for_its_tail() -> None:
    theirs = VECTORS["tuya"]["broadcast_body_tuya_convert"]
    ours = tuya.broadcast_lane(EXAMPLE)
    assert ours == VECTORS["tuya"]["broadcast_body_lengths"] == theirs[: len(ours)]
    assert set(theirs[len(ours) :]) == {256}


def test_tuya_multicast_is_tuya_converts() -> None:
    assert [d.address for d in tuya.multicast_lane(EXAMPLE)] == VECTORS["tuya"]["multicast_body"]
    sent = [d.address for d in tuya.encode(EXAMPLE, no_entropy)]
    assert set(VECTORS["tuya"]["multicast_lock"]) <= set(sent)


def test_esptouch1_is_the_vendors() -> None:
    lengths = VECTORS["esptouch1"]["lengths"]
    sent = [d.length for d in esptouch1.encode(EXAMPLE, no_entropy)]
    assert esptouch1.data_lengths(EXAMPLE) == lengths[4:]
    assert sent[-len(lengths) :] == lengths


def octets_of(planes: list[int]) -> bytes:
    return bytes(sum((bits >> shift & 1) << k for k, bits in enumerate(planes)) for shift in range(5, -1, -1))


def test_esptouch2_is_the_vendors() -> None:
    """With the padding the vendor's library happened to choose."""
    lengths = VECTORS["esptouch2"]["plain"]["lengths"]
    last_of_secrets, last_of_ssid = octets_of(lengths[59:66]), octets_of(lengths[81:88])
    entropy = in_turn(last_of_secrets[-4:], last_of_ssid[-5:])
    assert esptouch2.round_lengths(EXAMPLE, entropy) == lengths


def test_esptouch2_encrypted_is_the_vendors() -> None:
    """With the IV and the padding the vendor's library happened to choose: only its key makes the rest the same."""
    lengths = VECTORS["esptouch2"]["aes"]["lengths"]
    blocks = [octets_of(lengths[at + 3 : at + 11]) for at in range(12, len(lengths), 11)]
    iv = b"".join(block[:5] for block in blocks[7:11])
    entropy = in_turn(iv, blocks[6][2:5], octets_of(lengths[-8:-1])[-5:])
    assert esptouch2.round_lengths(replace(EXAMPLE, key=ESPTOUCH2_KEY), entropy) == lengths


def test_a_password_too_long_for_the_multicast_lane_leaves_the_broadcast_lane() -> None:
    fits = replace(EXAMPLE, network=network_of("HomeNet", "p" * 48))
    overlong = replace(EXAMPLE, network=network_of("HomeNet", "p" * 49))
    places = [int(d.address.split(".")[1]) for d in tuya.multicast_lane(fits)]
    assert len(places) == len(set(places))
    assert tuya.multicast_lane(overlong) == []
    assert len(tuya.broadcast_lane(overlong)) > 0


def test_lanes_are_spread_over_one_another() -> None:
    first, second = ([Datagram(name, 1, i, 0.0) for i in range(count)] for name, count in (("a", 4), ("b", 8)))
    assert "".join(d.address for d in interleaved(first, second)) == "babbabbabbab"
    assert interleaved([], second) == second


@pytest.mark.parametrize("name", ENCODINGS)
def test_what_cannot_be_sent_is_refused(name: str) -> None:
    encode = ENCODINGS[name].encode
    with pytest.raises(SsidLengthError):
        encode(replace(EXAMPLE, network=WifiNetwork("")), bytes)
    with pytest.raises(UnsendableError, match="sender"):
        encode(replace(EXAMPLE, sender="here"), bytes)


def test_a_token_or_key_without_its_place_is_refused() -> None:
    with pytest.raises(UnsendableError, match="token"):
        tuya.encode(replace(EXAMPLE, token=b"short"), bytes)
    with pytest.raises(UnsendableError, match="token"):
        esptouch2.encode(replace(EXAMPLE, token=bytes(65)), bytes)
    with pytest.raises(UnsendableError, match="key"):
        esptouch2.encode(replace(EXAMPLE, key=b"short"), bytes)


def test_secrets_are_in_no_repr() -> None:
    shown = repr(replace(EXAMPLE, key=ESPTOUCH2_KEY))
    assert not any(secret in shown for secret in ("hunter2", "EUA1", ESPTOUCH2_KEY.decode()))


def test_decoders_know_nothing_of_encoders() -> None:
    """They share the numbers of the formats and the CRC, whose check is published."""
    allowed = ("pairing.ez.numbers", "pairing.ez.crc8", "pairing.ez.monitor", "pairing.wifi")
    paths = list(Path(monitor_package.__path__[0]).glob("*.py"))
    trees = {path.name: ast.parse(path.read_text()) for path in paths}
    imported = {
        f"{name}: {target}"
        for name, tree in trees.items()
        for node in ast.walk(tree)
        for target in _targets(node)
        if target.partition(".")[0] in ("pairing", "app", "ble", "tests") and not target.startswith(allowed)
    }
    assert (len(paths), imported) == (11, set())


def _targets(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def test_numbers_holds_numbers_only() -> None:
    tree = ast.parse((Path(monitor_package.__path__[0]).parent / "numbers.py").read_text())
    kinds = set(map(type, chain(tree.body)))
    assert kinds == {ast.Expr, ast.Assign}
