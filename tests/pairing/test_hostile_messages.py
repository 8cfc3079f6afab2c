"""Whatever a device, a hub or the network says in JSON or TXT: read, or refused with the package's own error."""

from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest

from pairing.activation import messages as activation
from pairing.announcement import device_service, hub_service, parse_device, parse_hub
from pairing.errors import MalformedMessageError
from pairing.messages import decode_from_device, decode_from_hub, encode
from tests.pairing import test_messages

ACTIVATION = [
    b'{"type":"facts","product":"lamp","epoch":0,"name":"Lamp","commitment":"tvOVT7wqSK0Fo71ehnfuGitYbIJfxNHJ7F5A8x14mDs="}',
    b'{"type":"nonce","nonce":"tvOVT7wqSK0Fo71ehnfuGitYbIJfxNHJ7F5A8x14mDs="}',
    b'{"type":"failed","code":9}',
    b'{"type":"prepared"}',
]
SAID: dict[str, tuple[Callable[[bytes], object], list[bytes]]] = {
    "device": (decode_from_device, [encode(m) for m in test_messages.FROM_DEVICE]),
    "hub": (decode_from_hub, [encode(m) for m in test_messages.FROM_HUB]),
    "activation": (activation.decode, ACTIVATION),
}
PIECES = [
    b"{",
    b"}",
    b"[" * 64,
    b'"',
    b":",
    b",",
    b"null",
    b"1e999",
    b"-1",
    b"\\ud800",
    b"\xff",
    b"\x00",
    b"true",
    b"2" * 40,
]
ID = "d-2gn7prq3ufryaprn6j7oedxk"
TEXTS = [
    "",
    "1",
    "0",
    "pin",
    "open",
    "lamp",
    ID,
    "h-" + ID[2:],
    "é" * 70,
    "\x00",
    "65536",
    "-1",
    "0123456789abcdef",
    None,
]


def mangled(chance: Random, said: bytes) -> bytes:
    """`said` with a few faults."""
    for _ in range(chance.randrange(1, 4)):
        at, end = sorted((chance.randrange(len(said) + 1), chance.randrange(len(said) + 1)))
        middle = chance.choice([chance.choice(PIECES), chance.randbytes(3), said[at:end] * 2, b""])
        said = said[:at] + middle + said[min(end, at + chance.randrange(8)) :]
    return said


def _hear(name: str, rounds: int) -> None:
    chance = Random(f"{name} {rounds}")
    decode, said = SAID[name]
    for _ in range(rounds):
        with suppress(MalformedMessageError):
            decode(mangled(chance, chance.choice(said)))


def _announced(rounds: int) -> None:
    chance = Random(rounds)
    device = device_service(ID, product="lamp", port=1, paired=False, hint="0123456789abcdef").txt
    hub = hub_service("h-" + ID[2:], link_port=1).txt
    for _ in range(rounds):
        for txt, parse in ((dict(device), parse_device), (dict(hub), parse_hub)):
            changed: dict[str, str | None] = dict(txt)
            changed[chance.choice(list(changed))] = chance.choice(TEXTS)
            changed.pop(chance.choice([*changed, "none"]), None) if chance.random() < 0.3 else None
            heard = parse(changed, chance.choice([(), ("127.0.0.1",)]), chance.choice([None, 0, 1, 65_536]))
            assert heard is None or heard.id in (ID, "h-" + ID[2:])


@pytest.mark.parametrize("name", SAID)
def test_what_is_no_message_is_refused(name: str) -> None:
    _hear(name, 5_000)


@pytest.mark.full
@pytest.mark.parametrize("name", SAID)
def test_what_is_no_message_is_refused_a_million_times(name: str) -> None:
    _hear(name, 1_000_000)


def test_what_is_no_announcement_is_not_heard() -> None:
    _announced(2_000)


@pytest.mark.full
def test_what_is_no_announcement_is_not_heard_a_million_times() -> None:
    _announced(500_000)
