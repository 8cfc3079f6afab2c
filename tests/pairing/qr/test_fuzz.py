"""Whatever is scanned, the parsers answer or raise the package's own error."""

import random
from collections.abc import Callable
from contextlib import suppress

import pytest

from pairing.errors import PairingError
from pairing.qr import camera, parse
from pairing.qr.wifi import parse_network

DEVICE = "d-2gn7prq3ufryaprn6j7oedxk"
SEEDS = {
    "wifi": 'WIFI:T:WPA;S:a\\;b☕;P:12\\"345678;H:true;;',
    "matter": "MT:Y.K90AFN00KA0648G00",
    "manual": "34970112332",
    "long manual": "749701123365521327687",
    "tuya": "https://smartapp.tuya.com/s/p?p=keytg5kq8gvkv9dh&uuid=f998cb9e62f5e9a1&v=2.0",
    "esp": '{"ver":"v1","name":"PROV_1","pop":"abcd1234","transport":"softap","password":"12345678","security":"2"}',
    "label": f"DS1:I={DEVICE};P=4711-0815;M=lamp;T=ble,wired",
    "camera": '{"p":"12345678","s":"Haus","t":"DSAbCdEf23456z"}',
}
PARSERS: dict[str, Callable[[str], object]] = {"camera": camera.parse, "wifi": parse_network}
# What has a meaning somewhere, and what trips readers up.
PIECES = [
    *"\\;:,\"'{}[]=&?%#@/*-. 0189",
    "\\u",
    "\\ud800",
    "\ud800",
    "\x00",
    "é",
    "☕",
    "²",
    "٣",
    "1e999",
    "null",
    "[" * 64,
]


def mangled(chance: random.Random, text: str) -> str:
    """`text` with a few faults, or something else altogether."""
    if chance.random() < 0.05:
        return "".join(chance.choice(PIECES) for _ in range(chance.randrange(40)))
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(5):
            case 0:
                text = text[:at] + chance.choice(PIECES) + text[at:]
            case 1:
                text = text[:at] + text[at + chance.randrange(1, 4) :]
            case 2:
                text = text[:at] + chr(chance.randrange(0x80)) + text[at + 1 :]
            case 3:
                text = text[:at] + chance.choice(list(SEEDS.values()))[chance.randrange(20) :] + text[at:]
            case _:
                text = text[:at]
    return text


@pytest.mark.parametrize("kind", SEEDS)
@pytest.mark.parametrize("rounds", [5_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_only_the_package_s_own_error_is_raised(kind: str, rounds: int) -> None:
    chance = random.Random(f"{kind} {rounds}")
    own = PARSERS.get(kind, parse)
    for _ in range(rounds):
        text = mangled(chance, SEEDS[kind])
        for parser in (parse, own) if own is not parse else (parse,):
            with suppress(PairingError):
                parser(text)
