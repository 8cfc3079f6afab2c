"""Mesh devices become nodes of the home's network through a session: one by one and several, well and badly."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest

from ble.mesh import pb_gatt
from ble.mesh.client import MeshClient, Patience
from ble.mesh.config.indexes import KeyPair
from ble.mesh.configure import Setup, reset
from ble.mesh.exchange import ByApp
from ble.mesh.keys import AppKey, NetKey
from ble.mesh.models import onoff
from ble.mesh.node import products
from ble.mesh.node.faults import AnyFault, NodeFault
from ble.mesh.node.peripheral import Peripheral
from ble.mesh.procedures import carry_out
from ble.mesh.provisioning.device import Device
from ble.mesh.provisioning.faults import Fault
from ble.mesh.provisioning.pdus import Capabilities, OobType, OutputAction
from ble.mesh.state import MeshState
from ble.mesh.store import MemoryStore
from ble.radio import RadioState
from pairing.methods.mesh import JoinedNode, Mesh, candidate_id
from pairing.session.runner import Runner
from pairing.session.states import Request, SessionState, State, Step
from pairing.testing import MemoryLog, MemoryRegistrar
from tests.ble.mesh.node_air import NodeAir

PATIENCE = 30.0
SECRET = bytes(range(16))
APP_KEY = b"a" * 16
QUICK = Patience(answer_s=0.5, tries=2, proxy_s=3.0)
NUMBERED = Device(
    capabilities=Capabilities(elements=1, output_size=4, output_actions=1 << OutputAction.NUMERIC, algorithms=3)
)
LABELLED = Device(
    capabilities=Capabilities(elements=1, oob_type=OobType.STATIC | OobType.ONLY_AUTHENTICATED), static=SECRET
)


class OneHome:
    """`pairing.methods.mesh.Networks` with one network."""

    def __init__(self, client: MeshClient) -> None:
        self.client = client
        self.setup = Setup(keys=KeyPair(0, 0), app_key=APP_KEY, publish_to=0xC000)
        self.left: list[bytes] = []
        self._one = asyncio.Lock()

    @asynccontextmanager
    async def network(self, home: str) -> AsyncIterator["OneHome"]:
        async with self._one:
            yield self

    async def let_go(self, uuid: bytes) -> None:
        self.left.append(uuid)


class Registrar(MemoryRegistrar):
    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[JoinedNode] = []

    async def join(self, session: SessionState, attempt: int, activated: object) -> str:
        assert isinstance(activated, JoinedNode)
        self.nodes.append(activated)
        return await super().join(session, attempt, activated)


Answer = Callable[[Step], "str | bool | None"]


class Hub:
    """A runner with the mesh method alone. `answer` is the person: what they say to a step."""

    def __init__(self, air: NodeAir, client: MeshClient) -> None:
        self.air, self.home, self.registrar, self.log = air, OneHome(client), Registrar(), MemoryLog()
        ids = count(1)
        self.runner = Runner(
            log=self.log,
            registrar=self.registrar,
            methods=[Mesh(self.home, air, patience=15.0, lost_after=10.0)],
            now=lambda: time.time_ns() // 1_000_000,
            new_id=lambda: f"s-{next(ids)}",
        )

    def node(self, address: str) -> Peripheral:
        return self.air.nodes[address]

    async def pair(
        self,
        answer: Answer = lambda _: True,
        *,
        want: int = 1,
        identify: str = "",
        device: str | None = None,
        **secret: str,
    ) -> SessionState:
        inputs = {"identify": identify} if identify else {}
        request = Request(home="h-1", account="a-1", method="mesh", want=want, inputs=inputs, device=device)
        session = (await self.runner.start(request, secret)).id
        async for step in self.runner.watch(session):
            if step.key in ("confirm", "pin_needed"):
                said = answer(step)
                if isinstance(said, str):
                    await self.runner.provide(session, said, step.attempt)
                elif said is None:
                    await self.runner.cancel(session)
                else:
                    await self.runner.confirm(session, said, step.attempt)
        return self.log.state(session)


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    state = MeshState(device_key=bytes(16))
    state.net_keys[0] = NetKey(index=0, key=b"n" * 16)
    state.app_keys[0] = AppKey(index=0, net_index=0, key=APP_KEY)
    async with (
        asyncio.timeout(PATIENCE),
        NodeAir() as air,
        MeshClient(air, MemoryStore(state), patience=QUICK) as client,
    ):
        made = Hub(air, client)
        yield made
        await made.runner.close()


def cause(ended: SessionState) -> str:
    failed = ended.attempts[-1].failure if ended.attempts else ended.failure
    assert failed is not None
    return failed.cause


async def test_a_lamp_blinks_is_accepted_and_obeys(hub: Hub) -> None:
    lamp = hub.air.add(products.dimmable)
    ended = await hub.pair()
    assert ended.state is State.JOINED, ended
    (joined,) = hub.registrar.nodes
    assert (joined.trust, joined.device_id) == ("first-use", candidate_id(hub.node(lamp).uuid))
    keys = [step.key for step in ended.steps_of(1)]
    assert keys.index("identify") < keys.index("confirm") < keys.index("mesh_handing_over") < keys.index("joining")
    client = hub.home.client
    await client.request(joined.address, onoff.set_on(True, 1).message(), ByApp(0), answers=(0x8204,))
    node = hub.node(lamp).node
    assert node is not None
    assert hub.home.left == []


async def test_one_that_is_not_the_one_stays_as_it_was(hub: Hub) -> None:
    lamp = hub.air.add(products.dimmable)
    ended = await hub.pair(lambda _: False)
    assert cause(ended) == "other_device"
    assert hub.node(lamp).state is None
    assert hub.home.client.state.nodes == {}


async def test_several_blink_one_after_the_other(hub: Hub) -> None:
    lamps = [hub.air.add(products.dimmable) for _ in range(3)]
    blinking: set[int] = set()

    def answer(step: Step) -> bool:
        blinking.add(step.attempt)
        return step.attempt != 2

    ended = await hub.pair(answer, want=2)
    assert ended.state is State.JOINED, ended
    assert len(ended.devices) == 2
    assert sum(hub.node(lamp).state is not None for lamp in lamps) == 2
    assert len({node.address for node in hub.registrar.nodes}) == 2
    # Each began to blink when the one before it was done.
    order = [
        (step.key, step.attempt) for step in ended.steps if step.key in ("identify", "registered", "attempt_failed")
    ]
    assert [attempt for _, attempt in order] == sorted(attempt for _, attempt in order)
    assert blinking == {attempt for key, attempt in order if key == "identify"}


async def test_a_batch_is_taken_without_being_asked_for(hub: Hub) -> None:
    for _ in range(3):
        hub.air.add(products.dimmable)
    ended = await hub.pair(lambda step: pytest.fail(step.key), want=3, identify="no")
    assert len(ended.devices) == 3


async def test_what_the_device_shows_is_typed(hub: Hub) -> None:
    lamp = hub.air.add(products.dimmable, device=NUMBERED)
    ended = await hub.pair(lambda _: hub.node(lamp).shown)
    assert ended.state is State.JOINED, ended
    assert hub.registrar.nodes[0].trust == "pin"
    (told,) = [step.detail for step in ended.steps if step.key == "code_at_device"]
    assert told == {"how": "shown", "action": "numeric", "size": "4"}


async def test_what_is_mistyped_is_asked_for_again(hub: Hub) -> None:
    lamp = hub.air.add(products.dimmable, device=NUMBERED)
    typed = iter(["wrong", "right"])

    def answer(_: Step) -> str:
        shown = hub.node(lamp).shown
        return shown if next(typed) == "right" else f"{(int(shown) + 1) % 10_000:04}"

    ended = await hub.pair(answer)
    assert ended.state is State.JOINED, ended
    assert [attempt.failure and attempt.failure.cause for attempt in ended.attempts] == ["wrong_pin", None]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (SECRET.hex(), ""),
        ("ff" * 16, "wrong_pop"),
        ("", "mesh_code_needed"),
        ("12", "mesh_code_unfit"),
        ("hello", "mesh_code_unfit"),
    ],
)
async def test_the_label_s_secret(hub: Hub, given: str, expected: str) -> None:
    lamp = hub.air.add(products.dimmable, device=LABELLED)
    ended = await hub.pair(oob=given)
    if expected:
        assert cause(ended) == expected
        assert hub.node(lamp).state is None
    else:
        assert ended.state is State.JOINED, ended
        assert hub.registrar.nodes[0].trust == "pin"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.REFLECTS_PUBLIC_KEY, "mesh_dishonest"),
        (Fault.NEGATES_PUBLIC_KEY, "mesh_dishonest"),
        (Fault.KEY_OFF_CURVE, "mesh_dishonest"),
        (Fault.REFLECTS_CONFIRMATION, "mesh_dishonest"),
        (Fault.REFLECTS_RANDOM, "mesh_dishonest"),
        (Fault.WRONG_RANDOM, "proof_failed"),
        (Fault.WRONG_CONFIRMATION, "proof_failed"),
        (Fault.UNEXPECTED_PDU, "malformed_message"),
        (NodeFault.DROPS_ON_DATA, "connection_lost"),
        (NodeFault.SILENT, "device_silent"),
    ],
)
async def test_what_goes_wrong_is_named_and_the_device_let_go(hub: Hub, fault: AnyFault, expected: str) -> None:
    lamp = hub.air.add(products.dimmable, fault)
    ended = await hub.pair()
    assert cause(ended) == expected
    assert hub.registrar.nodes == []
    assert hub.home.left == [hub.node(lamp).uuid]


async def test_a_refused_join_lets_it_go(hub: Hub) -> None:
    lamp = hub.air.add(products.dimmable)
    hub.registrar.refuses = "device_limit"
    assert cause(await hub.pair()) == "device_limit"
    assert hub.home.left == [hub.node(lamp).uuid]


async def test_cancelled_while_it_blinks(hub: Hub) -> None:
    lamp = hub.air.add(products.dimmable)
    ended = await hub.pair(lambda _: None)
    assert ended.state is State.CANCELLED
    assert hub.node(lamp).state is None
    assert hub.air.links == {}


async def test_a_device_that_was_reset_comes_back_under_another_address(hub: Hub) -> None:
    lamp = hub.air.add(products.dimmable)
    await hub.pair()
    assert await carry_out(reset(hub.registrar.nodes[0].address), hub.home.client) is True
    async with asyncio.timeout(PATIENCE):
        while hub.node(lamp).advertisement.service != pb_gatt.SERVICE:
            await asyncio.sleep(0.01)
    ended = await hub.pair(device=candidate_id(hub.node(lamp).uuid))
    assert ended.state is State.JOINED, ended
    first, second = hub.registrar.nodes
    assert first.device_id == second.device_id
    assert first.address != second.address
    assert list(hub.home.client.state.nodes) == [second.address]


async def test_no_bluetooth_is_said_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NodeAir, "state", RadioState(usable=False, reason="no_adapter", sentence="None here."))
    ended = await hub.pair()
    assert ended.failure is not None
    assert (ended.failure.cause, ended.failure.detail["reason"]) == ("radio_off", "None here.")
