"""The hub speaks, a device overhears, joins and is brought in: real datagrams, mDNS and TCP on loopback."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from app.devices.product.catalogue import built_in
from app.virtual.air import broadcasts
from app.virtual.device import VirtualDevice
from app.virtual.overhearing import Overhearing
from app.virtual.station import ListedNetworks
from pairing.ez.numbers import ESPTOUCH2_ANSWER_PORTS
from pairing.methods import ez
from pairing.methods.ez import Ez, ipv4_interfaces
from pairing.methods.over_lan import OverLan
from pairing.session.causes import text
from pairing.session.runner import MethodUnavailableError
from pairing.session.states import Request, SessionState, State
from tests.pairing.methods.hub import MethodHub

LAMP = built_in().get("lamp")
KEY = b"0123456789abcdef"
PASSWORD = "correct horse ☕"
PATIENCE = 60.0
FULL = pytest.mark.full


class Hub(MethodHub):
    def __init__(self, *, sending: float = 120.0, join_within: float = 30.0) -> None:
        # Others test on this loopback, too: by its address a device tells their sendings from this one's.
        random = Random(secrets.token_bytes(8))
        self.host = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
        self.ssid = f"Lindenweg {secrets.token_hex(4)}"
        self.mine: set[str] = set()
        self.interfaces = [self.host]

        def made(lan: OverLan) -> Ez:
            return Ez(lan, interfaces=lambda: self.interfaces, sending=sending, join_within=join_within)

        super().__init__(made, self.mine)

    async def start(self, *, password: str = PASSWORD, key: bytes = b"", want: int = 1, **inputs: str) -> str:
        request = Request(home="h-1", account="a-1", method="ez", want=want, inputs={"ssid": self.ssid} | inputs)
        given = {"wifi_password": password, "esptouch_key": key.hex()}
        return (await self.runner.start(request, {k: v for k, v in given.items() if v})).id

    async def ended(self, session_id: str) -> SessionState:
        """Say yes to every code; the session's end."""
        async with asyncio.timeout(PATIENCE):
            async for step in self.runner.watch(session_id):
                if step.key == "confirm":
                    await self.runner.confirm(session_id, True, attempt=step.attempt)
        return self.log.state(session_id)

    async def see(self, session_id: str, key: str) -> dict[str, str]:
        async with asyncio.timeout(PATIENCE):
            async for step in self.runner.watch(session_id):
                if step.key == key:
                    return step.detail
        raise AssertionError(key)


Hubs = Callable[..., Hub]


def _sockets() -> set[str]:
    """The sockets this process has open."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith("socket:")}


@pytest.fixture
async def hubs() -> AsyncIterator[Hubs]:
    """Makes hubs; afterwards no task of theirs may be left."""
    made: list[Hub] = []
    before = asyncio.all_tasks()

    def make(**more: float) -> Hub:
        made.append(Hub(**more))
        return made[-1]

    yield make
    for hub in made:
        await hub.runner.close()
    assert asyncio.all_tasks() - before - {asyncio.current_task()} == set()


@asynccontextmanager
async def device_of(hub: Hub, password: str = PASSWORD) -> AsyncIterator[VirtualDevice]:
    """A lamp in setup mode, where the hub's network has this password."""
    assert LAMP is not None
    setup = Overhearing(broadcasts, entropy=secrets.token_bytes, host=hub.host, key=KEY)
    async with VirtualDevice(LAMP, setup=setup, station=ListedNetworks({hub.ssid: password})) as device:
        await device.wait("setup")
        hub.mine.add(device.id)
        yield device


def keys(state: SessionState) -> list[str]:
    return [step.key for step in state.steps]


@pytest.mark.parametrize(
    ("encoding", "key"),
    [
        ("tuya", b""),
        ("esptouch2", KEY),
        pytest.param("esptouch2", b"", marks=FULL),
        pytest.param("all", b"", marks=FULL),
    ],
)
async def test_who_overhears_is_brought_in(hubs: Hubs, encoding: str, key: bytes) -> None:
    hub = hubs()
    async with device_of(hub) as device:
        session_id = await hub.start(encoding=encoding, key=key)
        ended = await hub.ended(session_id)
        assert (ended.state, ended.failure) == (State.JOINED, None)
        assert [c.id for c in ended.candidates] == [device.id]
        assert {"lanes", "sending", "found"} <= set(keys(ended))
        await device.wait("paired")
    kept = hub.log.rows[session_id].decode() + repr(hub.log.history[session_id])
    assert PASSWORD not in kept
    assert KEY.hex() not in kept


async def test_a_device_that_answers_is_told_of(hubs: Hubs) -> None:
    hub = hubs()
    async with device_of(hub):
        session_id = await hub.start(encoding="esptouch2")
        assert (await hub.see(session_id, "decoded"))["address"] == hub.host
        assert (await hub.ended(session_id)).state is State.JOINED


async def test_several_in_one_session(hubs: Hubs) -> None:
    hub = hubs()
    async with AsyncExitStack() as stack:
        devices = [await stack.enter_async_context(device_of(hub)) for _ in range(3)]
        ended = await hub.ended(await hub.start(want=3))
        assert ended.state is State.JOINED
        assert {a.candidate.id for a in ended.attempts} == {device.id for device in devices}


@FULL
async def test_two_sessions_take_turns_on_the_air(hubs: Hubs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ez, "TURN", 5.0)
    hub = hubs()
    await hub.start(ssid=f"Elsewhere {secrets.token_hex(4)}")
    async with device_of(hub):
        assert (await hub.ended(await hub.start())).state is State.JOINED


async def test_a_wrong_password_brings_nothing_and_the_right_one_afterwards_does(hubs: Hubs) -> None:
    hub = hubs()
    async with device_of(hub) as device:
        wrong = await hub.start(password="another password")
        async with asyncio.timeout(PATIENCE):
            while (await device.wait("not_joined")).details["ssid"] != hub.ssid:
                pass
        await hub.runner.cancel(wrong)
        assert (await hub.ended(await hub.start())).state is State.JOINED


async def test_where_nobody_listens_it_says_so(hubs: Hubs) -> None:
    hub = hubs(sending=0.2, join_within=0.1)
    ended = await hub.ended(await hub.start())
    assert ended.failure is not None
    assert (ended.failure.cause, ended.failure.step) == ("never_decoded", "sending")


def _answer(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
        mouth.bind((host, 0))
        mouth.sendto(b"\0\x02abcde", (host, port))


async def test_who_answers_and_is_never_heard_on_the_lan_is_behind_a_wall(hubs: Hubs) -> None:
    """And may be a liar: the person is told, and the sending goes on to its end."""
    hub = hubs(sending=1.0, join_within=0.1)
    session_id = await hub.start(encoding="esptouch2")
    await hub.see(session_id, "sending")
    for port in ESPTOUCH2_ANSWER_PORTS:  # another session may hold the first
        await asyncio.to_thread(_answer, hub.host, port)
    assert (await hub.see(session_id, "nothing_heard"))["hint"] == "check_isolation"
    ended = await hub.ended(session_id)
    assert ended.failure is not None
    assert (ended.failure.cause, ended.failure.detail["address"]) == ("joined_never_announced", hub.host)
    assert "hub cannot hear it" in text(ended.failure)


async def test_no_interface_is_a_cause(hubs: Hubs) -> None:
    hub = hubs()
    hub.interfaces = ["192.0.2.1"]
    ended = await hub.ended(await hub.start())
    assert ended.failure is not None
    assert (ended.failure.cause, ended.failure.detail["reason"]) == ("network_unavailable", "EADDRNOTAVAIL")


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"ssid": "x" * 33}, "ssid_length"),
        ({"password": "short"}, "wifi_password_length"),
        ({"encoding": "airkiss"}, "no_method"),
        ({"key": b"short"}, "no_method"),
    ],
)
async def test_what_nobody_could_join_is_not_sent(hubs: Hubs, given: dict[str, str], cause: str) -> None:
    hub = hubs()
    ended = await hub.ended(await hub.start(**given))  # type: ignore[arg-type]
    assert ended.failure is not None
    assert ended.failure.cause == cause
    assert "lanes" not in keys(ended)


async def test_without_a_network_there_is_nothing_to_send(hubs: Hubs) -> None:
    with pytest.raises(MethodUnavailableError, match="ssid"):
        await hubs().runner.start(Request(home="h-1", account="a-1", method="ez"))


@pytest.mark.parametrize("turns", range(0, 60, 6))
async def test_stopped_after_any_number_of_turns_nothing_is_left(hubs: Hubs, turns: int) -> None:
    hub = hubs()
    before = await asyncio.to_thread(_sockets)
    await hub.start(encoding="all")
    for _ in range(turns):
        await asyncio.sleep(0)
    await hub.runner.close()
    assert await asyncio.to_thread(_sockets) - before == set()


def test_it_sends_from_every_interface_but_loopback_stands_in_for_none() -> None:
    found = ipv4_interfaces()
    assert found
    assert all(":" not in address for address in found)
