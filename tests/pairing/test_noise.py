"""Noise against published vectors, and what must not open."""

import json
from pathlib import Path
from typing import Any

import pytest

from pairing.errors import ChannelBrokenError, MalformedMessageError, ProofFailedError
from pairing.noise import KK_PSK0, MAX_NONCE, XX_PSK3, CipherState, Handshake, Pattern, dh, public_key
from pairing.talk import Entropy

FIXTURE = Path(__file__).parents[2] / "fixtures/pairing/noise.json"
PATTERNS = {p.protocol_name.decode(): p for p in (XX_PSK3, KK_PSK0)}
VECTORS = json.loads(FIXTURE.read_text())["vectors"]


def fixed(value: bytes) -> Entropy:
    return lambda _size: value


def both_sides(vector: dict[str, Any]) -> tuple[Handshake, Handshake]:
    pattern = PATTERNS[vector["protocol_name"]]
    keys = {k: bytes.fromhex(vector[k]) for k in ("init_static", "resp_static", "init_ephemeral", "resp_ephemeral")}
    sides = []
    for us, them in (("init", "resp"), ("resp", "init")):
        ephemeral = keys[f"{us}_ephemeral"]
        sides.append(
            Handshake(
                pattern,
                initiator=us == "init",
                static=keys[f"{us}_static"],
                psk=bytes.fromhex(vector["psk"]),
                prologue=bytes.fromhex(vector["prologue"]),
                entropy=fixed(ephemeral),
                remote=public_key(keys[f"{them}_static"]) if pattern.known else None,
            )
        )
    return sides[0], sides[1]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: str(v["protocol_name"]))
def test_published_vectors(vector: dict[str, Any]) -> None:
    writer, reader = both_sides(vector)
    messages = [(bytes.fromhex(p), bytes.fromhex(c)) for p, c in vector["messages"]]
    handshakes = len(PATTERNS[vector["protocol_name"]].messages)
    for payload, ciphertext in messages[:handshakes]:
        assert writer.write(payload) == ciphertext
        assert reader.read(ciphertext) == payload
        writer, reader = reader, writer
    assert writer.hash == reader.hash == bytes.fromhex(vector["handshake_hash"])
    (send, receive), (peer_send, peer_receive) = writer.split(), reader.split()
    for payload, ciphertext in messages[handshakes:]:
        assert send.encrypt(payload) == ciphertext
        assert peer_receive.decrypt(ciphertext) == payload
        send, receive, peer_send, peer_receive = peer_send, peer_receive, send, receive


@pytest.mark.parametrize("pattern", [XX_PSK3, KK_PSK0], ids=lambda p: str(p.name))
def test_another_psk_does_not_open(pattern: Pattern) -> None:
    statics = [bytes([i]) * 32 for i in (1, 2)]
    sides = [
        Handshake(
            pattern,
            initiator=i == 0,
            static=statics[i],
            psk=bytes([7 + i]) * 32,
            prologue=b"",
            entropy=fixed(bytes([9 + i]) * 32),
            remote=public_key(statics[1 - i]),
        )
        for i in (0, 1)
    ]
    with pytest.raises(ProofFailedError):  # noqa: PT012 - which message fails is the pattern's affair
        for turn in range(len(pattern.messages)):
            sides[1 - turn % 2].read(sides[turn % 2].write())


@pytest.mark.parametrize("weak", [bytes(32), b"\x01" + bytes(31)])
def test_a_weak_public_key_is_refused(weak: bytes) -> None:
    with pytest.raises(ProofFailedError):
        dh(b"\x05" * 32, weak)


def test_a_cipher_ends_before_its_counter_does() -> None:
    cipher = CipherState(b"k" * 32)
    cipher._nonce = MAX_NONCE
    with pytest.raises(ChannelBrokenError):
        cipher.encrypt(b"")


def test_a_short_message_is_malformed() -> None:
    with pytest.raises(MalformedMessageError):
        CipherState(b"k" * 32).decrypt(b"short")
    _, responder = both_sides(VECTORS[0])
    with pytest.raises(MalformedMessageError):
        responder.read(b"x" * 31)
