"""A hub in a process of its own that says when a moment of a pairing has come, and is killed then, or a little later.

The processes are forked of one that has loaded everything, runs no loop and holds nothing: one costs milliseconds.
"""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Literal

import pytest
from msgspec import Struct

from app.node import Node
from app.onboarding.log import DurableLog
from app.onboarding.registrar import HomeRegistrar
from app.serving import Serving, run, stop_requested
from pairing.session.log import Activation, Entry, Secrets
from pairing.session.states import SessionState
from tests.crash.ways import Way
from tests.e2e.living import WAIT, patient

When = Literal["before", "once", "held"]


class Moment(Struct, frozen=True):
    """A thing made durable: "created", a state or an event of the session, "committed" (the device is in the home, the
    session does not know yet), or how many went before.

    The hub says so just before that, or once it is; it goes on then, unless `held`: nothing follows.
    """

    at: str | int
    when: When = "held"


class _Teller:
    """Stands in the way of what this process makes durable."""

    def __init__(self, moment: Moment, say: Connection) -> None:
        self._moment = moment
        self._say = say
        self._passed = 0
        self._said = False

    def coming(self, *moments: str) -> None:
        if self._moment.when == "before":
            self._tell(moments)

    async def come(self, *moments: str) -> None:
        if self._moment.when != "before":
            self._tell(moments)
        self._passed += 1
        if self._said and self._moment.when == "held":
            await asyncio.Event().wait()

    def _tell(self, moments: tuple[str, ...]) -> None:
        if not self._said and self._moment.at in (*moments, self._passed):
            self._said = True
            self._say.send("come")

    def set_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        create, append, join = DurableLog.create, DurableLog.append, HomeRegistrar.join

        async def created(log: DurableLog, state: SessionState, secrets: Secrets) -> None:
            self.coming("created")
            await create(log, state, secrets)
            await self.come("created")

        async def appended(log: DurableLog, session_id: str, entry: Entry, state: SessionState) -> None:
            self.coming(state.state.value, entry.event)
            await append(log, session_id, entry, state)
            await self.come(state.state.value, entry.event)

        async def joined(registrar: HomeRegistrar, session: SessionState, attempt: int, activated: Activation) -> str:
            self.coming("committed")
            device_id = await join(registrar, session, attempt, activated)
            await self.come("committed")
            return device_id

        monkeypatch.setattr(DurableLog, "create", created)
        monkeypatch.setattr(DurableLog, "append", appended)
        monkeypatch.setattr(HomeRegistrar, "join", joined)


def _live(folder: Path, moment: Moment, way: Way, say: Connection) -> None:
    """The process: serves `folder`, says its address first, until SIGTERM or worse."""
    monkeypatch = pytest.MonkeyPatch()
    way.set_in(monkeypatch)
    _Teller(moment, say).set_in(monkeypatch)
    run(lambda: _serve(folder, say))


async def _serve(folder: Path, say: Connection) -> None:
    settings = patient(folder)
    node, door = Node(settings), Serving(settings)
    await node.start()
    endpoint = await door.open(node.asgi, node.short)
    say.send(endpoint.url)
    await stop_requested()
    node.end_streams()
    await door.close()
    await node.stop()


@cache
def _forking() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", __name__])
    return context


class Doomed:
    """The process, as who kills it sees it. Its lines come as it says them."""

    def __init__(self, folder: Path, moment: Moment, way: Way) -> None:
        self._says, self._say = _forking().Pipe(duplex=False)
        self._process = _forking().Process(target=_live, args=(folder, moment, way, self._say), daemon=True)
        self.url = ""

    def start(self) -> None:
        """Returns once it answers."""
        self._process.start()
        self._say.close()  # its own end is the only one now
        self.url = self._says.recv()

    def moment(self) -> bool:
        """Waits for it; False when the process ended without."""
        try:
            return bool(self._says.recv() == "come")
        except EOFError:
            return False

    def end(self) -> None:
        """Let it end in order."""
        self._process.terminate()

    def kill(self) -> int | None:
        """SIGKILL; what it ended with."""
        self._process.kill()
        self._process.join(WAIT)
        return self._process.exitcode

    def close(self) -> None:
        if self._process.pid is not None:
            self.kill()
            self._process.close()


@asynccontextmanager
async def doomed(folder: Path, moment: Moment, way: Way) -> AsyncIterator[Doomed]:
    """A hub that serves `folder` until it is killed, at the latest when the context ends."""
    hub = await asyncio.to_thread(Doomed, folder, moment, way)
    try:
        await asyncio.to_thread(hub.start)
        yield hub
    finally:
        await asyncio.to_thread(hub.close)
