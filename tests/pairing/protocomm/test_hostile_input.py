"""Nothing that comes in can do more than raise the package's own error."""

from collections.abc import Callable, Iterator
from random import Random

import pytest

from pairing.ap.setup import Connected, Failed, Reason
from pairing.errors import PairingError
from pairing.protocomm import calls, client, messages, schema
from pairing.protocomm.client import Proof, Session
from pairing.protocomm.security1 import Keystream
from pairing.wifi import WifiNetwork
from tests.pairing.protocomm.provisioning import NETWORKS, POP, Lamp, play

SAMPLE = 3_000
MANY = 1_000_000

VALID = (
    messages.pack_version(messages.Version(2, 1, ("wifi_scan",))),
    messages.pack_entries(NETWORKS),
    messages.scan_result(0, 4),
    messages.scan_start(),
    messages.set_config(WifiNetwork("home", "password", "02:00:00:00:00:01")),
    messages.pack_status(Connected("192.0.2.7"), "home"),
    messages.pack_status(Failed(Reason.NOT_FOUND), "home"),
    schema.pack(
        "Session", scheme=1, sec1={"msg": 1, "resp0": {"device_pubkey": bytes(32), "device_random": bytes(16)}}
    ),
    schema.pack("Session", scheme=2, sec2={"msg": 0, "cmd0": {"username": b"wifiprov", "client_pubkey": bytes(384)}}),
)


def mangled(seed: int, count: int) -> Iterator[bytes]:
    """Real messages with octets changed, cut, doubled and joined, and noise."""
    chance = Random(seed)
    for _ in range(count):
        raw = bytearray(chance.choice(VALID))
        for _ in range(chance.randrange(1, 6)):
            where = chance.randrange(len(raw) + 1)
            match chance.randrange(5):
                case 0:
                    del raw[where:]
                case 1:
                    raw[where:where] = chance.randbytes(chance.randrange(4))
                case 2:
                    raw[where : where + 1] = chance.randbytes(1)
                case 3:
                    raw += chance.choice(VALID)
                case _:
                    raw[where:where] = raw[where : where + chance.randrange(1, 60)]
        yield bytes(raw)


PARSERS: dict[str, Callable[[bytes], object]] = {
    "version": messages.parse_version,
    "scan": lambda raw: [messages.parse_entry(entry) for entry in messages.parse_scan(raw, "resp_result").entries],
    "status": lambda raw: messages.parse_status(messages.parse_config(raw, "resp_status")),
    "set config": lambda raw: messages.parse_set_config(schema.parse("Config", raw).cmd_set),
    "session": lambda raw: schema.parse("Session", raw),
}


def fuzz(parse: Callable[[bytes], object], seed: int, count: int) -> None:
    fine = 0
    for raw in mangled(seed, count):
        try:
            parse(raw)
        except PairingError:
            continue
        fine += 1
    assert 0 < fine < count


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_raises_only_our_error(name: str) -> None:
    fuzz(PARSERS[name], 1, SAMPLE)


@pytest.mark.full
@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_raises_only_our_error_a_million_times(name: str) -> None:
    fuzz(PARSERS[name], 2, MANY)


def device_calls(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    chance = Random(seed)
    endpoints = (calls.VERSION, calls.SESSION, calls.SCAN, calls.CONFIG, calls.HANDOVER, "x")
    for raw in mangled(seed, count):
        yield chance.choice(endpoints), raw


def besiege(count: int) -> None:
    """A device whose session is proven, so that what is mangled reaches its commands and not just the cipher."""
    lamp = Lamp(1)
    key, counter = bytes(32), bytes(16)
    for endpoint, raw in device_calls(3, count):
        if lamp.device._cipher is None:
            lamp.device._cipher = Keystream(key, counter)
            client_side = Keystream(key, counter)
        try:
            lamp.device.answer(endpoint, client_side.seal(raw) if endpoint != calls.VERSION else raw)
        except PairingError:
            continue
    assert lamp.told == [] or all(told.network.ssid for told in lamp.told)


def test_a_device_refuses_hostile_calls_in_its_own_words() -> None:
    besiege(SAMPLE)


@pytest.mark.full
def test_a_device_refuses_a_million_hostile_calls_in_its_own_words() -> None:
    besiege(MANY)


def deceive(count: int) -> None:
    """A client that is answered rubbish at each of its steps."""
    session = Session(messages.Version(1, 0, ("wifi_scan",)), Keystream(bytes(32), bytes(16)))
    for raw in mangled(4, count):
        for talk in (
            client.scan(session),
            client.status(session),
            client.establish(Proof(POP), entropy=Random(1).randbytes),
        ):
            try:
                play(talk, lambda _, raw=raw: raw)  # type: ignore[misc]
            except PairingError:
                continue


def test_a_client_survives_hostile_answers() -> None:
    deceive(SAMPLE // 3)


@pytest.mark.full
def test_a_client_survives_a_million_hostile_answers() -> None:
    deceive(MANY // 3)
