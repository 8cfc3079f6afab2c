"""Serving and the client against each other: real sockets, real TLS, pins that match and pins that do not."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.client import ApiError, Client, HubUnreachable, PinMismatch
from app.serving import AddressUnusable, Endpoint, Serving, _bind
from app.settings import Settings


class Echo:
    """An application that says what it was asked, refuses `/refuse`, and streams `/api/events`."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append((scope["method"], scope["path"], headers))
        body = (await receive())["body"]
        status, kind, content = 200, "application/json", json.dumps({"got": body.decode()})
        if scope["path"] == "/refuse":
            status, content = 409, json.dumps({"code": "conflict", "detail": "Not now.", "hint": "Later."})
        elif scope["path"] == "/page":
            first = b"cursor" not in scope["query_string"]
            content = json.dumps({"items": [1, 2] if first else [3], "next": "c" if first else None})
        elif scope["path"] == "/api/events":
            kind, content = "text/event-stream", ": hello\n\nid: 7\nevent: device\ndata: {}\n\n"
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind.encode())]},
        )
        await send({"type": "http.response.body", "body": content.encode()})


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture(params=[True, False], ids=["https", "http"])
async def endpoint(tmp_path: Path, echo: Echo, request: pytest.FixtureRequest) -> AsyncIterator[Endpoint]:
    serving = Serving(Settings(data=tmp_path, port=0, tls=request.param))
    yield await serving.open(echo)
    await serving.close()


def pin(endpoint: Endpoint) -> str | None:
    return endpoint.certificate.pin if endpoint.certificate else None


async def test_a_client_with_the_pin_is_answered(endpoint: Endpoint, echo: Echo) -> None:
    async with Client(endpoint.url, token="t", pin=pin(endpoint)) as api:
        assert await api.post("/x", {"a": 1}) == {"got": '{"a":1}'}
        assert [item async for item in api.pages("/page")] == [1, 2, 3]
    method, path, headers = echo.seen[0]
    assert (method, path, headers["authorization"]) == ("POST", "/x", "Bearer t")
    assert headers["idempotency-key"]


async def test_a_refusal_keeps_its_code_and_next_step(endpoint: Endpoint) -> None:
    async with Client(endpoint.url, pin=pin(endpoint)) as api:
        with pytest.raises(ApiError) as refused:
            await api.delete("/refuse")
    assert (refused.value.status, refused.value.code, str(refused.value), refused.value.hint) == (
        409,
        "conflict",
        "Not now.",
        "Later.",
    )


async def test_events_arrive_with_their_ids(endpoint: Endpoint) -> None:
    async with Client(endpoint.url, pin=pin(endpoint)) as api, api.events(after="6") as stream:
        received = await anext(stream)
    assert (received.id, received.event) == ("7", "device")


@pytest.mark.parametrize("endpoint", [True], indirect=True)
async def test_pins_by_fingerprint_or_key_and_nothing_else(endpoint: Endpoint) -> None:
    certificate = endpoint.certificate
    assert certificate is not None
    colons = ":".join(certificate.fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    for good in (certificate.fingerprint, colons, certificate.pin, f"sha256/{certificate.pin}"):
        async with Client(endpoint.url, pin=good) as api:
            await api.get("/x")
    for bad in ("00" * 32, certificate.pin.lower(), certificate.fingerprint[:-2], "x"):
        with pytest.raises(PinMismatch):
            async with Client(endpoint.url, pin=bad):
                pass


async def test_nobody_there_is_told_with_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with Client(f"http://127.0.0.1:{port}") as api:
        with pytest.raises(HubUnreachable, match=f"127.0.0.1:{port} does not answer"):
            await api.post("/x")
    with pytest.raises(HubUnreachable):
        async with Client(f"https://127.0.0.1:{port}", pin="00"):
            pass


async def test_a_port_in_use_is_told_with_the_way_out(tmp_path: Path, echo: Echo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        serving = Serving(Settings(data=tmp_path, port=taken.getsockname()[1], tls=False))
        with pytest.raises(AddressUnusable, match="--port"):
            await serving.open(echo)


async def test_closing_lets_a_request_finish(tmp_path: Path) -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        arrived.set()
        await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"true"})

    serving = Serving(Settings(data=tmp_path, port=0, tls=False))
    at = await serving.open(slow)
    async with Client(at.url) as api:
        asked = asyncio.create_task(api.get("/slow"))
        await arrived.wait()
        closing = asyncio.create_task(serving.close())
        release.set()
        assert await asked is True
        await closing


def test_the_body_of_an_answer_does_not_wait_for_its_head_to_be_acknowledged() -> None:
    with _bind("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()) as client:
        accepted, address = listening.accept()
        with accepted:
            assert address == client.getsockname()
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
