"""Answers of devices: heard once each, thanked while they ask, and nothing of what strangers send does harm."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from random import Random

import pytest

from pairing.ez import answers
from pairing.ez.answers import MAX_DEVICES, MAX_THANKS, Answer, listening, parse

MAC = b"\x02abcde"
HOST = "127.0.0.9"


@pytest.fixture(autouse=True)
def own_ports(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ports nobody else here uses: two for answers, one for thanks."""
    probes = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    for probe in probes:
        probe.bind((HOST, 0))
    ports: list[int] = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    monkeypatch.setattr(answers, "ESPTOUCH2_ANSWER_PORTS", tuple(ports[:2]))
    monkeypatch.setattr(answers, "ESPTOUCH2_ACK_PORT", ports[2])
    return ports


class Device:
    """A socket where thanks come."""

    def __init__(self, thanks: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind((HOST, thanks))

    def say(self, octets: bytes, port: int) -> None:
        self.socket.sendto(octets, (HOST, port))

    async def thanked(self) -> bytes:
        async with asyncio.timeout(10):
            return await asyncio.get_running_loop().sock_recv(self.socket, 16)


@pytest.fixture
async def device(own_ports: list[int]) -> AsyncIterator[Device]:
    made = Device(own_ports[2])
    yield made
    made.socket.close()


def test_an_answer_is_an_octet_and_a_stations_address() -> None:
    assert parse(b"\0" + MAC, HOST) == Answer("02:61:62:63:64:65", HOST)
    assert parse(b"\x21" + MAC + b"more", HOST) == Answer("02:61:62:63:64:65", HOST)
    for wrong in (b"", b"\0" + MAC[:5], b"\0" + bytes(6), b"\0\x01abcde", bytes(65), b"\0\xff\xff\xff\xff\xff\xff"):
        assert parse(wrong, HOST) is None


@pytest.mark.parametrize("count", [pytest.param(10_000), pytest.param(1_000_000, marks=pytest.mark.full)])
def test_whatever_comes_nothing_is_raised(count: int) -> None:
    random = Random(count)
    for _ in range(count):
        found = parse(random.randbytes(random.randrange(70)), HOST)
        assert found is None or len(found.mac) == 17


async def test_a_device_is_told_of_once_and_thanked_each_time(own_ports: list[int], device: Device) -> None:
    told: list[Answer] = []
    async with listening(told.append, HOST) as mark:
        assert mark == 0
        for _ in range(2):
            device.say(b"\0" + MAC, own_ports[0])
            assert [await device.thanked() for _ in range(2)] == [b"\x01", b"\x01"]
    assert [answer.address for answer in told] == [HOST]


async def test_strangers_are_not_told_of_without_end(own_ports: list[int], device: Device) -> None:
    told: list[Answer] = []
    async with listening(told.append, HOST):
        for number in range(4 * MAX_DEVICES):
            device.say(b"\0\x02" + number.to_bytes(5, "big"), own_ports[0])
        for _ in range(MAX_THANKS + 10):
            device.say(b"\0\x02" + bytes(5), own_ports[0])
        thanks = 0
        while thanks < 2 * (MAX_DEVICES + MAX_THANKS - 1):
            await device.thanked()
            thanks += 1
        device.say(b"nothing", own_ports[0])
        with pytest.raises(BlockingIOError):
            device.socket.recv(16)
    assert len(told) == MAX_DEVICES


async def test_the_next_port_is_taken_where_one_is_and_none_where_all_are(own_ports: list[int]) -> None:
    async with AsyncExitStack() as stack:
        marks = [await stack.enter_async_context(listening(lambda _: None, HOST)) for _ in range(3)]
        assert marks == [0, 1, None]
    async with listening(lambda _: None, HOST) as mark:
        assert mark == 0
