"""A cloud and two hubs of one home, each a process in a network of its own, with a phone beside it."""

import asyncio
import itertools
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from app.commands.child import HubProcess
from tests.lan.lan import ROOT, Host, Lan
from tests.sync.history import Edit

WAIT: Final = 120.0
PORT: Final = 8470
PASSWORD: Final = "correct horse battery"
ENVIRON: Final = {
    "DOORSTEP_ACCESS_TOKEN_LIFE": "86400",
    "DOORSTEP_LIMITS__REQUESTS_PER_SECOND": "1000000",
    "DOORSTEP_LIMITS__REQUEST_BURST": "1000000",
    "DOORSTEP_LIMITS__ANONYMOUS_PER_MINUTE": "1000000",
}


class Node:
    """One of them. `people`: tokens by name; `edits`: what was acknowledged here."""

    def __init__(self, name: str, folder: Path, host: Host, lan: Lan) -> None:
        self.name = name
        self.folder = folder
        self.host = host
        self.people: dict[str, str] = {}
        self.edits: list[Edit] = []
        self.refused: dict[str, int] = {}
        self.id = ""
        # What it logged that should never be.
        self.faults: list[str] = []
        self._lan = lan
        self._hub: HubProcess
        self._phone: Process
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[tuple[int, Any]]] = {}
        self._rested: asyncio.Future[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    # the node

    async def start(self) -> None:
        """Return once it answers."""
        more = ("--role", "cloud", "--host", "0.0.0.0") if self.name == "cloud" else ()
        environ = {**ENVIRON, "DOORSTEP_TLS_NAMES": self.host.address}
        words = ("--name", self.name, "--log-level", "warning", *more)
        self._hub = HubProcess(
            self.folder / "data", *words, port=PORT, environ=environ, folder=self.folder, through=self.host.through
        )
        await self._hub.__aenter__()

    async def start_again(self) -> None:
        """As the kill left it; the phone beside it tells it the time."""
        await self.start()
        await self.tell_time()

    async def tell_time(self) -> None:
        """As a phone of its owner does, where no time server is reached."""
        await self.done("PUT", "/api/hub/clock", {"time": datetime.now(UTC).isoformat()})

    async def kill(self) -> None:
        """-9."""
        self._hub.send(signal.SIGKILL)
        words = await self._hub.last_words()
        assert await self._hub.ended() == -signal.SIGKILL, words
        self.faults += [line for line in words.splitlines() if '"level": "error"' in line or "Traceback" in line]

    async def stop(self) -> None:
        """In order."""
        await self._hub.__aexit__(None, None, None)

    @property
    def ready(self) -> dict[str, Any]:
        """What it said when it first answered."""
        return self._hub.ready

    async def said(self) -> str:
        """The end of what it has logged."""
        return await self._hub.last_words()

    # its network

    async def cut(self) -> None:
        """Nobody is reached from here, until `heal`."""
        await self._lan.run(f"ip link set {self.host.port} down")

    async def heal(self) -> None:
        """There is a network again."""
        await self._lan.run(f"ip link set {self.host.port} up")

    # its phone

    async def take_phone(self) -> None:
        """Have one beside it."""
        url = f"https://127.0.0.1:{PORT}"
        self._phone = await asyncio.create_subprocess_exec(
            *self.host.through,
            *(sys.executable, "-m", "tests.sync.killed.phone", url, self.ready["pin"]),
            stdin=PIPE,
            stdout=PIPE,
            limit=1 << 22,
            env={**os.environ, "PYTHONPATH": str(ROOT), "DOORSTEP_NO_BOOTSTRAP": "1"},
        )
        assert self._phone.stdout is not None
        assert await self._phone.stdout.readline() == b'["ready"]\n'
        self._listening = asyncio.create_task(self._listen(self._phone.stdout))

    async def leave_phone(self) -> None:
        assert self._phone.stdin is not None
        self._phone.stdin.close()
        await self._phone.wait()
        if self._listening is not None:
            await self._listening

    async def _listen(self, stdout: asyncio.StreamReader) -> None:
        while line := await stdout.readline():
            match msgspec.json.decode(line):
                case ["answered", number, status, said]:
                    self._asked.pop(number).set_result((status, said))
                case ["edit", edit]:
                    self.edits.append(msgspec.convert(edit, Edit))
                case ["rested", refused]:
                    assert self._rested is not None
                    self.refused = refused
                    self._rested.set_result(None)

    def _tell(self, *what: Any) -> None:
        assert self._phone.stdin is not None
        self._phone.stdin.write(msgspec.json.encode(what) + b"\n")

    async def ask(self, method: str, path: str, body: Any = None, *, by: str = "anna") -> tuple[int, Any]:
        """What its phone is answered; 0: nothing."""
        number = next(self._numbers)
        future: asyncio.Future[tuple[int, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        self._tell("ask", number, method, path, body, self.people.get(by))
        async with asyncio.timeout(WAIT):
            return await future

    async def done(self, method: str, path: str, body: Any = None, *, by: str = "anna") -> Any:
        """The same, where it must be done."""
        status, said = await self.ask(method, path, body, by=by)
        assert status == 200, (self.name, method, path, status, said)
        return said

    def edit(self, home: str, seed: int) -> None:
        """Edit a home from now on, until `rest`."""
        self._tell("edit", {"name": self.name, "home": home, "people": self.people, "seed": seed})

    async def rest(self) -> None:
        """Return once everything that was asked is answered, and nothing more is asked."""
        self._rested = asyncio.get_running_loop().create_future()
        self._tell("rest")
        async with asyncio.timeout(WAIT):
            await self._rested


class Three:
    """The cloud, the hub that brought the home, and the second hub of it. `home` is its path."""

    def __init__(self, lan: Lan, nodes: list[Node]) -> None:
        self.lan = lan
        self.cloud, self.first, self.second = self.nodes = nodes
        self.home = ""

    @property
    def home_id(self) -> str:
        return self.home.rpartition("/")[2]

    async def begin(self) -> None:
        """Anna owns all three, her home is at all of them, and Ben is in it too."""
        for node in self.nodes:
            anna = {"login": "anna", "password": PASSWORD, "name": "Anna", "phone": "Anna's phone"}
            claimed = await node.done("POST", "/api/hub/claim", {"code": node.ready["claim_code"], **anna}, by="")
            node.people["anna"] = claimed["session"]["access_token"]
            await node.tell_time()
            node.id = node.ready["hub"]
        for hub in (self.first, self.second):
            await self.enrol(hub)
        await self.know("anna", self.cloud)
        await self.know("anna", self.second)
        made = await self.first.done("POST", "/api/homes", {"name": "Lindenweg", "time_zone": "Europe/Berlin"})
        self.home = f"/api/homes/{made['id']}"
        await self._invite_ben()
        await self.arrive()
        for node in (self.cloud, self.second):
            node.people["ben"] = await self._signed_in("ben", node)

    async def arrive(self) -> None:
        """The home of the first hub is given to the cloud, and taken to the second: asked for until it is so."""
        await self._until(self.first, "POST", f"{self.home}/sync")
        await self._until(self.cloud, "POST", f"{self.home}/hubs", {"hub_id": self.second.id})
        await self.level()

    async def enrol(self, hub: Node) -> None:
        """As Anna does it: a code at the cloud, told to the hub, the number compared."""
        made = await self.cloud.done("POST", "/api/hubs/enrolments")
        asked = await hub.done("POST", "/api/cloud", {"code": made["link"]})
        path = f"/api/hubs/enrolments/{made['id']}"
        assert (await self.cloud.done("GET", path))["number"] == asked["number"]
        await self.cloud.done("POST", f"{path}/confirm")
        async with asyncio.timeout(WAIT):
            while (await hub.done("GET", "/api/cloud"))["state"] != "enrolled":
                await asyncio.sleep(0.05)

    async def _proof(self, who: str, node: Node, purpose: str) -> Any:
        """Of the key that somebody has at the first hub, for another node."""
        challenge = await node.done("POST", "/api/sign-in/key-challenges", by="")
        wanted = {"audience": node.id, "nonce": challenge["nonce"], "purpose": purpose}
        return await self.first.done("POST", "/api/me/proofs", wanted, by=who)

    async def know(self, who: str, node: Node) -> None:
        """Who they are at the first hub, they are there."""
        await node.done("POST", "/api/me/public-keys", await self._proof(who, node, "link"), by=who)

    async def _signed_in(self, who: str, node: Node) -> str:
        proven = await self._proof(who, node, "sign-in")
        session = await node.done("POST", "/api/sign-in/key", {**proven, "phone": "a phone"}, by="")
        return str(session["access_token"])

    async def _invite_ben(self) -> None:
        made = await self.first.done("POST", f"{self.home}/invitations", {"role": "admin"})
        ben = {"login": "ben", "password": PASSWORD, "name": "Ben", "phone": "Ben's phone"}
        joined = await self.first.done("POST", "/api/invitations/sign-up", {"code": made["code"], **ben}, by="")
        self.first.people["ben"] = joined["session"]["access_token"]

    async def _until(self, node: Node, method: str, path: str, body: Any = None) -> None:
        """Ask until it is done."""
        async with asyncio.timeout(WAIT):
            while (await node.ask(method, path, body))[0] != 200:
                await asyncio.sleep(0.05)

    async def level(self) -> None:
        """Return once all three have the same, and nothing waits."""
        try:
            async with asyncio.timeout(WAIT):
                while not await self.is_level():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError([(await self.view(node), await node.said()) for node in self.nodes]) from None

    async def is_level(self) -> bool:
        views = [await self.view(node) for node in self.nodes]
        heads = {view.get("head") for view in views}
        shown = not any(view["to_pull"] for view in views)
        answered = all(view["state"] == "synced" and not view["to_push"] for view in views[1:])
        return len(heads) == 1 and shown and answered

    async def view(self, node: Node) -> dict[str, Any]:
        """How the home stands there; empty before it is."""
        status, said = await node.ask("GET", f"{self.home}/sync")
        return said if status == 200 else {"state": str(said), "to_push": 1, "to_pull": 1}


@asynccontextmanager
async def three(folder: Path) -> AsyncIterator[Three]:
    """Started and known to each other; at the end they are stopped, and their folders stay."""
    async with Lan() as lan, AsyncExitStack() as closing:
        nodes = []
        for name in ("cloud", "first", "second"):
            await asyncio.to_thread((folder / name).mkdir)
            nodes.append(Node(name, folder / name, await lan.host(name), lan))
        await asyncio.gather(*(node.start() for node in nodes))
        for node in nodes:
            closing.push_async_callback(node.stop)
        for node in nodes:
            await node.take_phone()
            closing.push_async_callback(node.leave_phone)
        made = Three(lan, nodes)
        await made.begin()
        yield made
