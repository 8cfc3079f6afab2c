"""Where a device may be: places that lead nowhere cost nothing, and one that has moved is followed."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from pairing.mdns import Announcement, Gone
from pairing.methods.over_lan import OverLan
from pairing.methods.places import MAX_PLACES, Connection, Places
from pairing.methods.wired import Wired
from pairing.session.states import Request, State
from tests.pairing.methods.hub import MethodHub
from tests.pairing.methods.lamp import Lamp

WAIT = 30.0


class Quiet:
    """A context that is told nothing of interest."""

    async def note(self, key: str, /, **detail: str) -> None:
        assert key == "connecting"


quiet: Any = Quiet()


@contextmanager
def black_hole() -> Iterator[tuple[str, int]]:
    """Where nobody ever answers: a full backlog drops who asks."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as full:
        place = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(place)
        yield place
        for one in waiting:
            one.close()


@asynccontextmanager
async def answering(port: int) -> AsyncIterator[int]:
    """A server on 127.0.0.1 that hangs up as soon as it is spoken to."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", port)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def closed(connection: Connection | None) -> Connection:
    assert connection is not None
    connection.writer.close()
    await connection.writer.wait_closed()
    return connection


async def test_one_that_leads_nowhere_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pairing.methods.places.CONNECT_TIMEOUT", 4 * WAIT)
    with black_hole() as (hole, port):
        async with answering(port), asyncio.timeout(WAIT):
            places = Places()
            assert places.add([hole, "127.0.0.1"], port)
            assert (await closed(await places.first(quiet))).place.address == "127.0.0.1"
            monkeypatch.setattr("pairing.methods.places.CONNECT_TIMEOUT", 0.1)
            assert await places.first(quiet) is None  # the hole had not been given its time before


async def test_each_is_tried_once() -> None:
    async with answering(0) as port:
        places = Places()
        assert places.add(["127.0.0.1", "127.0.0.1"], port)
        await closed(await places.first(quiet))
        assert await places.first(quiet) is None
        assert not places.add(["127.0.0.1"], port)


def test_nobody_can_name_too_many() -> None:
    places = Places()
    assert places.add([f"127.1.0.{n}" for n in range(MAX_PLACES)], 9)
    assert not places.add(["127.0.0.1"], 9)


def announced(lamp: Lamp, port: int) -> Announcement:
    return Announcement(
        id=lamp.id, product="lamp", name="", addresses=("127.0.0.1",), port=port, paired=False, auth="open", hint=""
    )


async def test_a_device_that_has_just_moved_is_followed() -> None:
    """Who listens is told of the place it has left, as long as nobody knows better; then of the one it has come to."""
    lamp, listened = Lamp(announced=False), 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        left = taken.getsockname()[1]

    @asynccontextmanager
    async def browse() -> AsyncIterator[AsyncIterator[Announcement | Gone]]:
        nonlocal listened
        listened += 1
        again = listened > 1

        async def news() -> AsyncIterator[Announcement | Gone]:
            yield announced(lamp, left)
            if again:
                yield replace(announced(lamp, lamp.port), id="d-other", port=9)
                yield announced(lamp, lamp.port)
            await asyncio.Event().wait()

        yield news()

    def wired(lan: OverLan) -> Wired:
        lan.browse = browse
        return Wired(lan)

    hub = MethodHub(wired, ())
    async with lamp.on(), asyncio.timeout(WAIT):
        session = (await hub.runner.start(Request(home="h-1", account="a-1", method="wired", device=lamp.id), {})).id
        tried = []
        async for step in hub.runner.watch(session):
            if step.key == "connecting":
                tried.append(step.detail["port"])
            if step.key == "confirm":
                await hub.runner.confirm(session, True, attempt=step.attempt)
        await hub.runner.close()
    assert tried == [str(left), str(lamp.port)]
    assert hub.log.state(session).state is State.JOINED
