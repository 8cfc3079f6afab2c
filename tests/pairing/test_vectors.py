"""PROTOCOL.md's vectors are what the code does, octet for octet, and PROTOCOL.md shows them as they are."""

from random import Random
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from pairing import activation, link, wire
from pairing.device import Binding, DeviceState
from pairing.errors import PairingError
from pairing.identity import Identity
from pairing.talk import Action, Answer, Commit, Compute, Confirm, Receive, Talk
from tests.pairing import vectors

RECORDED: dict[str, Any] = msgspec.json.decode(vectors.FILE.read_bytes())
TEXT = vectors.PROTOCOL.read_text()


def test_the_code_says_what_is_recorded() -> None:
    assert msgspec.json.decode(msgspec.json.encode(vectors.make())) == RECORDED


def test_the_protocol_text_shows_what_is_recorded() -> None:
    assert TEXT.endswith(vectors.chapter(RECORDED))


def test_public_keys_are_those_of_the_private_ones() -> None:
    for side in ("hub", "device"):
        recorded = RECORDED["pin"][side]
        key = X25519PrivateKey.from_private_bytes(bytes.fromhex(recorded["private"]))
        assert key.public_key().public_bytes_raw().hex() == recorded["public"]


def test_pin_and_first_use_differ_only_in_how_the_device_is_proved() -> None:
    assert RECORDED["first_use"]["code"].isdigit()
    assert RECORDED["pin"]["code"] is None
    assert RECORDED["first_use"]["saved"][-1] == RECORDED["pin"]["saved"][-1]


def _feed(talk: Talk[Any], frames: list[bytes]) -> Exception | None:
    """Play `frames` at a talk; what it failed with, or None when it came to its end. Fails the test if it binds."""
    incoming, answer = iter(frames), None
    try:
        action: Action = talk.send(None)
        while True:
            answer = _answer(action, incoming)
            action = talk.send(answer)
    except StopIteration:
        return None
    except (PairingError, EndOfFramesError) as error:
        talk.close()
        return error


class EndOfFramesError(Exception):
    """Nothing more was recorded."""


def _answer(action: Action, incoming: Any) -> Answer:
    match action:
        case Receive():
            frame: bytes | None = next(incoming, None)
            if frame is None:
                raise EndOfFramesError
            return frame
        case Confirm() | Commit():
            return True
        case Compute(work):
            work()
            return None
        case _:
            return None


def _garbled(rng: Random, frames: list[bytes]) -> list[bytes]:
    frames = list(frames)
    at = rng.randrange(len(frames))
    frame = bytearray(frames[at])
    match rng.randrange(5):
        case 0:
            frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        case 1:
            del frame[rng.randrange(len(frame)) :]
        case 2:
            frame += rng.randbytes(rng.randrange(1, 64))
        case 3:
            frame = bytearray(rng.randbytes(rng.randrange(0, 200)))
        case _:
            frame = bytearray(bytes([rng.choice(list(wire.Kind))]) + rng.randbytes(rng.randrange(0, 120)))
    frames[at] = bytes(frame)
    return frames


def _talks(name: str) -> tuple[Talk[Any], Talk[Any]]:
    cast = vectors.Cast()
    if name == "link":
        credential = cast.hub_entropy(32)
        binding = Binding(cast.hub.hub_id, cast.hub.public, "Home", (), credential, "b-1", 1, 0)
        peer = link.Peer(cast.device.public, credential)
        return (
            link.hub_talk(cast.hub, lambda _: peer, entropy=cast.hub_entropy),
            link.device_talk(cast.device, binding, entropy=cast.device_entropy),
        )
    pin = RECORDED[name]["pin"]
    offer = activation.Offer(credential=cast.hub_entropy(32), **vectors.OFFER)  # type: ignore[arg-type]
    return (
        activation.hub_talk(cast.hub, offer, entropy=cast.hub_entropy, pin=pin),
        activation.device_talk(DeviceState(cast.device), vectors.FACTS, entropy=cast.device_entropy, pin=pin),
    )


def _fuzz(rounds: int, seed: int) -> None:
    rng = Random(seed)
    for _ in range(rounds):
        name = rng.choice(["first_use", "pin", "link"])
        side = rng.randrange(2)
        sender = "device" if side == 0 else "hub"
        frames = [bytes.fromhex(frame) for who, frame, _ in RECORDED[name]["frames"] if who == sender]
        garbled = _garbled(rng, frames)
        # After its commit the hub's talk ends well whatever the device's last word is.
        last_word = side == 0 and name != "link" and garbled[:-1] == frames[:-1]
        assert garbled == frames or _feed(_talks(name)[side], garbled) is not None or last_word


def test_no_garbled_frame_proves_anything() -> None:
    _fuzz(150, seed=1)


@pytest.mark.full
def test_no_garbled_frame_proves_anything_in_long() -> None:
    _fuzz(20_000, seed=2)


def _parse_all(raw: bytes) -> None:
    for parse in (
        wire.HubHello.parse,
        wire.DeviceHello.parse,
        wire.ShareV.parse,
        wire.LinkHello.parse,
        wire.LinkRefused.parse,
    ):
        try:
            parse(raw)
        except PairingError:
            continue


@pytest.mark.parametrize("rounds", [20_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_every_parser_takes_anything(rounds: int) -> None:
    rng = Random(rounds)
    heads = [bytes([kind]) for kind in wire.Kind]
    for _ in range(rounds):
        _parse_all(rng.choice(heads) + bytes([rng.randrange(3)]) + rng.randbytes(rng.randrange(120)))


def test_identities_read_from_the_file_make_the_same_ids() -> None:
    device = RECORDED["link"]["device"]
    assert Identity(bytes.fromhex(device["private"])).device_id == device["id"]
