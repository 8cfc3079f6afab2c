"""Provisioning over a connection: cut to its size, timed, cancelled, and told where the device goes away."""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ble.errors import BleError, Disconnected, Malformed
from ble.mesh.pb_gatt import DATA_IN, DATA_OUT, pump
from ble.mesh.provisioning.choosing import Choice
from ble.mesh.provisioning.data import ProvisioningData
from ble.mesh.provisioning.device import Joined, join
from ble.mesh.provisioning.errors import PduUnexpected, ProvisioningTimedOut
from ble.mesh.provisioning.pdus import Method
from ble.mesh.provisioning.provisioner import provision
from ble.mesh.provisioning.talk import Ask, Assign, Receive, Send, Show, Talk
from ble.mesh.proxy import Kind, Reassembly, segments
from tests.ble.mesh.prov_pairs import ALL, DATA, PLAIN, STATIC
from tests.ble.mesh.vectors import vector

PRIVATE_KEY = bytes.fromhex(vector("8.7 / 8.17.1")[0]["provisioner_private_key"])
CUT = vector("8.8")[1]["proxy_pdus"]


class Link:
    """A connection whose other end is a device's talk, carried out at once."""

    address = "00:11:22:33:44:55"

    def __init__(self, talk: Talk[Joined], max_write: int = 20, silent_after: int = 100) -> None:
        self.max_write = max_write
        self.connected = True
        self.written: list[bytes] = []
        self.shown = ""
        self.joined: Joined | None = None
        self.error: BleError | None = None
        self.silent_after = silent_after
        self._talk = talk
        self._reassembly = Reassembly()
        self.hear: Callable[[bytes], None] = lambda _: None
        self.gone: Callable[[], None] = lambda: None
        self._waiting: deque[bytes] = deque()
        self._wants = self._run(None)

    def _run(self, answer: Any) -> bool:
        """Until it wants a PDU; False once it has ended."""
        try:
            action = self._talk.send(answer)
            while not isinstance(action, Receive):
                self._carry_out(action)
                action = self._talk.send(None)
        except StopIteration as stop:
            self.joined = stop.value
            return False
        except BleError as error:
            self.error = error
            return False
        return True

    def _carry_out(self, action: Any) -> None:
        match action:
            case Show(_, value):
                self.shown = value
            case Send(pdu) if self.silent_after > 0:
                self.silent_after -= 1
                for part in segments(Kind.PROVISIONING, pdu, self.max_write):
                    asyncio.get_running_loop().call_soon(self.hear, part)

    async def write(self, characteristic: str, data: bytes, *, response: bool) -> None:
        assert (characteristic, response) == (DATA_IN, False)
        assert len(data) <= self.max_write
        if not self.connected:
            raise Disconnected
        self.written.append(data)
        whole = self._reassembly.feed(data, 0.0)
        if whole and self._wants:
            self._wants = self._run(whole.data)

    async def subscribe(self, characteristic: str, heard: Callable[[bytes], None]) -> None:
        assert characteristic == DATA_OUT
        self.hear = heard

    def on_disconnect(self, told: Callable[[], None]) -> None:
        self.gone = told

    async def read(self, characteristic: str) -> bytes:
        raise NotImplementedError

    async def descriptor(self, characteristic: str, descriptor: str) -> bytes:
        raise NotImplementedError

    def characteristics(self, service: str) -> Sequence[str]:
        return (DATA_IN, DATA_OUT)


async def assigned(_: Assign) -> ProvisioningData:
    return DATA


def device(which: Any = PLAIN) -> Talk[Joined]:
    return join(which, entropy=secrets.token_bytes)


@pytest.mark.parametrize("max_write", [20, 66, 244])
async def test_a_device_becomes_a_node(max_write: int) -> None:
    steps: list[str] = []
    link = Link(device(ALL), max_write)
    node = await pump(
        provision(Choice(static=STATIC), entropy=secrets.token_bytes), link, on_assign=assigned, on_step=steps.append
    )
    assert link.joined is not None
    assert (node.device_key, node.method) == (link.joined.device_key, Method.STATIC)
    assert steps == ["capabilities", "public_key", "confirmation", "random", "complete"]


async def test_a_public_key_is_cut_as_published() -> None:
    """MshPRT 1.1, 8.8: at an ATT_MTU of 23."""
    link = Link(device(), 20)
    await pump(provision(Choice(), entropy=secrets.token_bytes, private_key=PRIVATE_KEY), link, on_assign=assigned)
    assert [part.hex() for part in link.written[2:6]] == CUT


async def test_a_person_reads_the_code() -> None:
    link = Link(device(ALL))

    async def read(asked: Ask) -> str:
        return link.shown

    choice = Choice(person=True, authenticated=True)
    node = await pump(provision(choice, entropy=secrets.token_bytes), link, on_assign=assigned, on_ask=read)
    assert node.method == Method.OUTPUT


async def test_a_person_who_never_comes_is_not_waited_for() -> None:
    async def never(_: Ask) -> str:
        await asyncio.Event().wait()
        return ""

    talk = provision(Choice(person=True), entropy=secrets.token_bytes)
    with pytest.raises(ProvisioningTimedOut):
        await pump(talk, Link(device(ALL)), on_assign=assigned, on_ask=never, person_timeout=0.01)


async def test_a_device_that_goes_away_is_told_of() -> None:
    link = Link(device(), silent_after=1)
    task = asyncio.create_task(pump(provision(Choice(), entropy=secrets.token_bytes), link, on_assign=assigned))
    while len(link.written) < 6:
        await asyncio.sleep(0)
    link.gone()
    with pytest.raises(Disconnected):
        await task


async def test_a_cancelled_talk_is_closed() -> None:
    talk = provision(Choice(), entropy=secrets.token_bytes)
    link = Link(device(), silent_after=0)
    task = asyncio.create_task(pump(talk, link, on_assign=assigned))
    while not link.written:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(StopIteration):
        next(talk)


async def test_octets_that_are_no_proxy_pdu_end_it() -> None:
    link = Link(device(), silent_after=0)
    task = asyncio.create_task(pump(provision(Choice(), entropy=secrets.token_bytes), link, on_assign=assigned))
    while not link.written:
        await asyncio.sleep(0)
    link.hear(b"\xff\xff")
    with pytest.raises(Malformed):
        await task


async def test_where_the_key_cannot_be_kept_nothing_is_handed_over() -> None:
    class StoreFull(Exception):
        pass

    async def fails(_: Assign) -> ProvisioningData:
        raise StoreFull

    link = Link(device())
    with pytest.raises(StoreFull):
        await pump(provision(Choice(), entropy=secrets.token_bytes), link, on_assign=fails)
    assert link.joined is None


async def test_a_device_that_floods_is_given_up() -> None:
    link = Link(device(), silent_after=0)
    task = asyncio.create_task(pump(provision(Choice(), entropy=secrets.token_bytes), link, on_assign=assigned))
    while not link.written:
        await asyncio.sleep(0)
    for _ in range(10_000):
        link.hear(b"\x03\x08")
    with pytest.raises(PduUnexpected):
        await task
