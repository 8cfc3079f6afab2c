"""Whatever octets come as a heartbeat or its answer: a struct, or this link's own error, and nothing else."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from app.links.heartbeat.codec import HeartbeatError, decode_beat, decode_heard, encode
from tests.links.mangling import mangled

SAMPLE, FULL = 5_000, 1_000_000
PARSERS: dict[str, Callable[[bytes], Any]] = {"beat": decode_beat, "heard": decode_heard}
SEEDS = [
    b'{"every":60,"firmware":"1.2.0","battery_percent":81,"storage_used_mb":12,"storage_total_mb":64,'
    b'"signal_strength_dbm":-61,"services":[{"service":"contact","values":{"open":true},"at":1767225600000}],'
    b'"acknowledged":["a","b"],"answers":[{"id":"c","ok":true,"values":{"on":true}},{"id":"d","ok":false,"error":"x"}]}',
    b'{"time":1767225600000,"every":60,"commands":[{"id":"a","kind":"set","expires_at":1767225630000,"service":"light",'
    b'"values":{"on":true}},{"id":"b","kind":"factory_reset","expires_at":1767225630000}]}',
    b"{}",
    b'{"firmware":null}',
]


def survive(name: str, count: int) -> None:
    """Read so many mangled inputs; what could be read can be written, and is then read as the same."""
    parse, dice = PARSERS[name], random.Random(f"heartbeat {name}")
    read = 0
    for _ in range(count):
        try:
            found = parse(mangled(dice, SEEDS))
        except HeartbeatError:
            continue
        read += 1
        assert parse(encode(found)) == found
    assert count > read > 0


@pytest.mark.parametrize("name", PARSERS)
def test_nothing_but_its_own_error(name: str) -> None:
    survive(name, SAMPLE)


@pytest.mark.full
@pytest.mark.parametrize("name", PARSERS)
def test_nothing_but_its_own_error_a_million_times(name: str) -> None:
    survive(name, FULL)


@pytest.mark.parametrize("name", PARSERS)
def test_deep_nesting_is_no_way_in(name: str) -> None:
    for raw in (b"[" * 60_000, b'{"services":[{"values":' + b"[" * 60_000, b'{"a":' * 10_000):
        with pytest.raises(HeartbeatError):
            PARSERS[name](raw)
