"""The admin socket: private, bounded, honest about errors, and back after a crash."""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from app import admin, admin_client
from app.admin import Admin, Progress
from app.errors import Conflict, Unavailable
from app.store.folder import ADMIN_SOCKET


class Verbs:
    """A few verbs, and the events that let a test see them run."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def echo(self, args: Mapping[str, Any], progress: Progress) -> object:
        for step in range(int(args.get("steps", 0))):
            progress({"step": step})
        return dict(args)

    async def conflict(self, args: Mapping[str, Any], progress: Progress) -> object:
        raise Conflict("Already there.")

    async def broken(self, args: Mapping[str, Any], progress: Progress) -> object:
        raise RuntimeError("secret detail")

    async def forever(self, args: Mapping[str, Any], progress: Progress) -> object:
        self.begun.set()
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            self.cancelled.set()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / ("long" * 40) / "data"  # no address of 107 bytes could name it
    folder.mkdir(parents=True, mode=0o700)
    return folder


@pytest.fixture
async def verbs(data: Path) -> AsyncIterator[Verbs]:
    table = Verbs()
    hub = Admin(data)
    for name in ("echo", "conflict", "broken", "forever"):
        hub.register(name, getattr(table, name))
    await hub.start()
    yield table
    await hub.stop()


async def call(data: Path, verb: str, args: dict[str, object] | None = None, **options: Any) -> Any:
    return await asyncio.to_thread(admin_client.call, data, verb, args, **options)


async def test_progress_then_result(data: Path, verbs: Verbs) -> None:
    seen: list[Any] = []
    assert await call(data, "echo", {"steps": 3}, on_progress=seen.append) == {"steps": 3}
    assert seen == [{"step": 0}, {"step": 1}, {"step": 2}]


async def test_only_the_hubs_user_can_open_it(data: Path, verbs: Verbs) -> None:
    mode = (await asyncio.to_thread((data / ADMIN_SOCKET).stat)).st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_a_stranger_is_hung_up_on(data: Path, verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "_peer_uid", lambda _: os.geteuid() + 1)
    with pytest.raises(Unavailable):
        await call(data, "echo")


@pytest.mark.parametrize(
    ("verb", "code", "message"),
    [
        ("conflict", "conflict", "Already there."),
        ("broken", "internal", "The hub failed; its log says why."),
        ("nothing", "not_found", "This hub has no admin verb 'nothing'."),
    ],
)
async def test_errors_arrive_with_their_code(data: Path, verbs: Verbs, verb: str, code: str, message: str) -> None:
    with pytest.raises(admin_client.AdminRefused) as refused:
        await call(data, verb)
    assert (refused.value.code, str(refused.value)) == (code, message)


@pytest.mark.parametrize(
    "sent", [b"x" * (admin.REQUEST_BYTES * 2) + b"\n", b"not json\n", b'{"verb": 3}\n', b'{"verb":"echo","more":1}\n']
)
async def test_what_is_no_request_is_refused(data: Path, verbs: Verbs, sent: bytes) -> None:
    def send() -> bytes:
        with admin_client._connect(data, 10) as peer:
            peer.sendall(sent)
            with peer.makefile("rb") as stream:
                return stream.readline()

    answered = json.loads(await asyncio.to_thread(send))
    assert answered["error"]["code"] == "invalid"


async def test_stop_ends_what_is_running_and_removes_the_socket(data: Path) -> None:
    table, hub = Verbs(), Admin(data)
    hub.register("forever", table.forever)
    await hub.start()
    waiting = asyncio.create_task(call(data, "forever"))
    await table.begun.wait()
    await hub.stop()
    assert table.cancelled.is_set()
    with pytest.raises(Unavailable):
        await waiting
    assert not await asyncio.to_thread(admin_client.running, data)


async def test_a_socket_left_by_a_crash_is_replaced(data: Path) -> None:
    (await asyncio.to_thread(admin._listen, data)).close()
    assert not await asyncio.to_thread(admin_client.running, data)
    hub = Admin(data)
    await hub.start()
    assert await asyncio.to_thread(admin_client.running, data)
    await hub.stop()


def test_a_verb_is_registered_once(tmp_path: Path) -> None:
    hub = Admin(tmp_path)
    hub.register("echo", Verbs.echo.__get__(object()))
    with pytest.raises(ValueError, match="twice"):
        hub.register("echo", Verbs.echo.__get__(object()))


def test_no_hub_is_told(tmp_path: Path) -> None:
    with pytest.raises(admin_client.NoHub, match="No hub runs on"):
        admin_client.call(tmp_path, "echo")
