"""kill -9 right after an acknowledgement: what was acknowledged is on disk, and nothing of QoS 2 is there twice."""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.store.prepare import open_store
from tests.links.mqtt.wire import PING, Wire, ack, publish, subscribe, wire

SEEDED, FULL = 5, 100
WINDOW = 20
MOST_ACKNOWLEDGED = 120


class Reporter:
    """A device that numbers its reports, QoS 1 and 2 in turn, and says again what was not acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: set[int] = set()
        self._next = 1
        # By packet id, in the order they were sent: which report, and whether PUBREC has come.
        self._open: dict[int, tuple[int, bool]] = {}

    async def report(self, it: Wire, enough: int) -> None:
        """Until so many more are acknowledged."""
        await it.enter("reporter", clean=False)
        for packet_id, (number, received) in self._open.items():
            it.say(ack(0x62, packet_id) if received else self._publish(packet_id, number, dup=True))
        done = 0
        while done < enough:
            while len(self._open) < WINDOW:
                packet_id = self._next % 65535 + 1
                self._open[packet_id] = (self._next, False)
                it.say(self._publish(packet_id, self._next))
                self._next += 1
            done += self._read(it, *await it.next())

    def _publish(self, packet_id: int, number: int, *, dup: bool = False) -> bytes:
        return publish("dev/report", b"%d" % number, 1 + number % 2, packet_id, dup=dup)

    def _read(self, it: Wire, first: int, body: bytes) -> bool:
        packet_id = int.from_bytes(body, "big")
        if packet_id not in self._open:
            return False
        number, _ = self._open[packet_id]
        if first == 0x50:
            self._open[packet_id] = (number, True)
            it.say(ack(0x62, packet_id))
        else:
            del self._open[packet_id]
        self.acknowledged.add(number)
        return True


class Sleeper:
    """A device that is sent messages, and knows over all its connections which of QoS 2 it has."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self._known: set[int] = set()

    async def sleep(self, it: Wire, enough: int) -> None:
        """Read so many more and answer them."""
        present, _ = await it.enter("sleeper", clean=False)
        if not present:
            await it.ask(subscribe(1, ("dev/down/+", 2)))
        until = len(self.got) + enough
        while len(self.got) < until:
            self.take(it, *await it.next())

    async def wake(self, it: Wire) -> None:
        """Read all there is."""
        await it.enter("sleeper", clean=False)
        it.say(PING)
        while (read := await it.next()) != (0xD0, b""):
            self.take(it, *read)

    def take(self, it: Wire, first: int, body: bytes) -> None:
        if first >> 4 == 6:
            self._known.discard(int.from_bytes(body, "big"))
            it.say(ack(0x70, int.from_bytes(body, "big")))
        elif first >> 4 == 3:
            message = it.read(first, body)
            if message.packet_id not in self._known:
                self.got.append(message.payload.decode())
            if message.qos == 2:
                self._known.add(message.packet_id)
            it.say(ack(0x40 if message.qos == 1 else 0x50, message.packet_id))


@asynccontextmanager
async def to_be_killed(folder: Path, name: str = "", said: set[str] | None = None) -> AsyncIterator[int]:
    """The port of a house that is killed when the context ends; what it said by then is `said`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.links.mqtt.killed", str(folder), name, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        rest = await process.stdout.read()
        await process.wait()
    if said is not None:
        said.update(line for line in rest.decode().splitlines(keepends=True) if line.endswith("\n"))


async def kill_often(folder: Path, times: int, seed: int) -> None:
    dice, device = random.Random(seed), Reporter()
    for _ in range(times):
        async with to_be_killed(folder) as port, wire(port) as it:
            await device.report(it, dice.randint(1, MOST_ACKNOWLEDGED))
    store = await open_store(folder)
    try:
        rows = await store.read(lambda reader: reader.all("SELECT payload FROM heard ORDER BY n"))
    finally:
        await store.close()
    heard = [int(payload) for (payload,) in rows]
    assert device.acknowledged - set(heard) == set()
    assert [number for number, count in Counter(heard).items() if count > 1 and number % 2] == []


async def kill_while_sending(folder: Path, times: int, seed: int) -> None:
    dice, device, kept = random.Random(seed), Sleeper(), set[str]()
    for turn in range(times):
        async with to_be_killed(folder, f"run{turn:03}", kept) as port, wire(port) as it:
            await device.sleep(it, dice.randint(1, MOST_ACKNOWLEDGED))
    async with to_be_killed(folder) as port:
        before = -1
        while len(device.got) > before:
            before = len(device.got)
            async with wire(port) as it:
                await device.wake(it)
    got = device.got
    assert {line.strip() for line in kept} - set(got) == set()
    for qos in (1, 2):
        of_qos = [text for text in got if 1 + int(text[-6:]) % 2 == qos]
        firsts = list(dict.fromkeys(of_qos))
        assert firsts == sorted(firsts)
        assert qos == 1 or of_qos == firsts


async def test_what_was_kept_for_a_device_reaches_it(tmp_path: Path) -> None:
    await kill_while_sending(tmp_path / "house", SEEDED, 3)


@pytest.mark.full
async def test_what_was_kept_for_a_device_reaches_it_a_hundred_times(tmp_path: Path) -> None:
    await kill_while_sending(tmp_path / "house", FULL, 4)


async def test_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    await kill_often(tmp_path / "house", SEEDED, 1)


@pytest.mark.full
async def test_what_was_acknowledged_is_there_a_hundred_times(tmp_path: Path) -> None:
    await kill_often(tmp_path / "house", FULL, 2)
