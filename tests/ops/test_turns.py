"""What a connection makes of requests that are answered below ASGI, beside others that are not."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from app import serving as serving_module
from app.serving import Endpoint, Serving
from app.settings import Settings
from app.turn import Fields, Turn
from tests.companion.wire import Answer, asking, heard

WAIT = 20.0


class Short:
    """Takes what is asked of /short: answers at once, later when the test says so, or after all not."""

    def __init__(self) -> None:
        self.waiting: list[Turn] = []

    def look(self, method: bytes, target: bytes, fields: Fields) -> Any:
        """The target, of those it takes."""
        return target if target.startswith(b"/short") else None

    def answer(self, asked: Any, turn: Turn) -> bool:
        """By the target."""
        if asked == b"/short/later":
            self.waiting.append(turn)
        elif asked == b"/short/no":
            return False
        else:
            turn.answer(200, b"by: short\r\n", bytes(turn.body))
        return True


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it was sent."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    headers = [(b"content-length", b"%d" % len(body)), (b"by", scope["method"].encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Caller:
    """A client's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, octets: bytes) -> Answer:
        self.writer.write(octets)
        return await heard(self.reader)

    async def is_at_its_end(self) -> bool:
        """Whether the other side has hung up, and has said nothing more."""
        async with asyncio.timeout(WAIT):
            return await self.reader.read(1) == b""


class Hub:
    """A server with both ways."""

    def __init__(self, serving: Serving, endpoint: Endpoint, short: Short) -> None:
        self.serving, self.short, self._endpoint = serving, short, endpoint
        self._callers: list[Caller] = []

    async def call(self) -> Caller:
        context = None
        if self._endpoint.certificate is not None:
            context = ssl.create_default_context(cadata=None)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._callers.append(Caller(*await asyncio.open_connection("127.0.0.1", self._endpoint.port, ssl=context)))
        return self._callers[-1]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT):
            while not holds():
                await asyncio.sleep(0)

    async def taken(self, count: int = 1) -> Turn:
        """The newest of so many that wait."""
        await self.until(lambda: len(self.short.waiting) == count)
        return self.short.waiting[-1]

    async def hang_up(self) -> None:
        for caller in self._callers:
            caller.writer.close()
        await asyncio.gather(*(c.writer.wait_closed() for c in self._callers), return_exceptions=True)


@pytest.fixture(params=[False, True], ids=["http", "https"])
async def hub(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Hub]:
    serving, short = Serving(Settings(data=tmp_path, port=0, tls=request.param)), Short()
    made = Hub(serving, await serving.open(application, short), short)
    yield made
    await made.hang_up()
    await serving.close()


async def test_both_ways_take_turns_on_one_connection(hub: Hub) -> None:
    caller = await hub.call()
    for number in range(3):
        body = b"%d" % number
        answer = await caller.ask(asking("POST", "/short", body=body))
        assert (answer.status, answer.body, answer.headers["by"]) == (200, body, "short")
        assert "date" in answer.headers
        answer = await caller.ask(asking("POST", "/long", body=body))
        assert (answer.body, answer.headers["by"]) == (body, "POST")
        answer = await caller.ask(asking("POST", "/short/no", body=body))
        assert (answer.body, answer.headers["by"]) == (body, "POST")


async def test_a_body_may_come_in_pieces(hub: Hub) -> None:
    caller = await hub.call()
    body = bytes(range(256))
    for path, by in (("/short", "short"), ("/short/no", "POST")):
        octets = asking("POST", path, body=body)
        head = len(octets) - len(body)
        caller.writer.write(octets[:head])
        await caller.writer.drain()
        for at in range(head, len(octets)):
            caller.writer.write(octets[at : at + 1])
            await caller.writer.drain()
            await asyncio.sleep(0)
        answer = await heard(caller.reader)
        assert (answer.body, answer.headers["by"]) == (body, by)


async def test_whether_a_body_came_late_is_known(hub: Hub) -> None:
    caller = await hub.call()
    octets = asking("POST", "/short/later", body=b"body")
    caller.writer.write(octets)
    whole = await hub.taken()
    whole.answer(200, b"", b"")
    await heard(caller.reader)
    caller.writer.write(octets[:-4])
    await hub.until(lambda: _reading(hub))
    caller.writer.write(octets[-4:])
    late = await hub.taken(2)
    late.answer(200, b"", b"")
    await heard(caller.reader)
    assert (whole.late, late.late) == (False, True)


def _reading(hub: Hub) -> bool:
    connections = hub.serving._server.server_state.connections
    return any(getattr(connection, "_reading", None) is not None for connection in connections)


async def test_what_is_asked_ahead_is_answered_in_order(hub: Hub) -> None:
    caller = await hub.call()
    asked = ("/short", "/short/later", "/short", "/long", "/short/later", "/short/no")
    caller.writer.write(b"".join(asking("POST", path, body=path.encode()) for path in asked))
    (await hub.taken()).answer(202, b"by: test\r\n", b"/short/later")
    answers = [await heard(caller.reader) for _ in asked]
    assert [answer.body.decode() for answer in answers] == list(asked)
    # What was read while another was unanswered went the ordinary way.
    assert [answer.headers["by"] for answer in answers] == ["short", "test", *["POST"] * 4]
    assert (await caller.ask(asking("GET", "/short"))).headers["by"] == "short"


async def test_nobody_is_there_any_more(hub: Hub) -> None:
    caller = await hub.call()
    caller.writer.write(asking("POST", "/short/later"))
    turn = await hub.taken()
    caller.writer.transport.abort()
    await hub.until(lambda: not hub.serving._server.server_state.connections)
    turn.answer(202, b"", b"for nobody")
    other = await hub.call()
    assert (await other.ask(asking("GET", "/short"))).status == 200


@pytest.mark.parametrize("last", [{"Connection": "close"}, "1.0"], ids=str)
async def test_the_last_request_of_a_connection_goes_the_ordinary_way(hub: Hub, last: Any) -> None:
    caller = await hub.call()
    octets = asking("GET", "/short", headers=last if last != "1.0" else None)
    answer = await caller.ask(octets.replace(b"HTTP/1.1", b"HTTP/1.0") if last == "1.0" else octets)
    assert answer.headers["by"] == "GET"
    assert await caller.is_at_its_end()


@pytest.mark.parametrize("sent", [0, -4], ids=["whole", "half"])
async def test_a_stop_waits_for_what_is_being_answered(hub: Hub, monkeypatch: pytest.MonkeyPatch, sent: int) -> None:
    monkeypatch.setattr(serving_module, "FLUSH_SECONDS", 0.0)
    caller, idle = await hub.call(), await hub.call()
    await idle.ask(asking("GET", "/short"))
    octets = asking("POST", "/short/later", body=b"body")
    caller.writer.write(octets[: len(octets) + sent])
    await hub.until(lambda: _reading(hub) if sent else bool(hub.short.waiting))
    stopping = asyncio.create_task(hub.serving.close())
    assert await idle.is_at_its_end()
    for _ in range(100):  # whoever was to be hung up on as well would be by now
        await asyncio.sleep(0)
    caller.writer.write(octets[len(octets) + sent :])
    turn = await hub.taken()
    assert bytes(turn.body) == b"body"
    turn.answer(202, b"", b"done")
    answer = await heard(caller.reader)
    assert (answer.status, answer.body, answer.headers["connection"]) == (202, b"done", "close")
    assert await caller.is_at_its_end()
    await stopping


async def test_a_stop_does_not_wait_for_who_has_gone(hub: Hub) -> None:
    caller = await hub.call()
    caller.writer.write(asking("POST", "/short/later"))
    turn = await hub.taken()
    stopping = asyncio.create_task(hub.serving.close())
    await hub.until(lambda: not turn.keep_alive)
    caller.writer.transport.abort()
    async with asyncio.timeout(WAIT):
        await stopping
    turn.answer(202, b"", b"for nobody")


async def test_who_asks_nothing_more_is_hung_up_on(hub: Hub) -> None:
    caller = await hub.call()
    await hub.until(lambda: bool(hub.serving._server.server_state.connections))
    (connection,) = hub.serving._server.server_state.connections
    connection.timeout_keep_alive = 0.2  # type: ignore[union-attr]
    for path in ("/short", "/long", "/short"):
        assert (await caller.ask(asking("GET", path))).status == 200
    assert await caller.is_at_its_end()


async def test_who_waits_for_an_answer_is_not_idle(hub: Hub) -> None:
    caller = await hub.call()
    await hub.until(lambda: bool(hub.serving._server.server_state.connections))
    (connection,) = hub.serving._server.server_state.connections
    connection.timeout_keep_alive = 0.01  # type: ignore[union-attr]
    await caller.ask(asking("GET", "/short"))
    caller.writer.write(asking("POST", "/short/later"))
    turn = await hub.taken()
    await hub.until(lambda: getattr(connection, "_idle", None) is None)
    turn.answer(202, b"", b"")
    assert (await heard(caller.reader)).status == 202
    assert await caller.is_at_its_end()
