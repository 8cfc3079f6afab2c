"""Virtual nodes under fire: octets that nobody meant, written to them and said to them under the right keys."""

import random
from collections.abc import Callable

import pytest

from ble.mesh import pb_gatt
from ble.mesh.config import bindings, keys, settings
from ble.mesh.config.bindings import Publication
from ble.mesh.config.indexes import KeyPair
from ble.mesh.exchange import ByApp, ByDevice, KeyName, Received
from ble.mesh.keys import AppKey, NetKey
from ble.mesh.model_id import ModelId
from ble.mesh.models import ctl, hsl, level, lightness, onoff, scene, sensor
from ble.mesh.models.transition import Transition
from ble.mesh.node import products
from ble.mesh.node.elements import Publishing, models_of
from ble.mesh.node.node import Node
from ble.mesh.node.peripheral import PROXY_IN, Peripheral
from ble.mesh.state import MeshState
from ble.mesh.wire import WireMessage
from tests.ble.mesh.node_network import Network
from tests.ble.mesh.prov_fuzzing import ROUNDS, fuzz

ADDRESS, HUB = 0x0010, 0x0001
MAKES: list[Callable[[], products.Product]] = [
    products.dimmable,
    products.tunable,
    products.coloured,
    products.thermometer,
    lambda: products.sockets(3),
]
APPLICATION: list[WireMessage] = [
    onoff.OnOffSet(1, 2, Transition(3, 4)),
    level.DeltaSet(-900, 3, Transition(1)),
    level.MoveSet(9, 9, Transition(9)),
    lightness.RangeSet(1, 9),
    ctl.CtlSet(9, 3000, 0, 1, Transition(5)),
    hsl.HslSet(1, 2, 3, 4, Transition(5)),
    scene.SceneStore(3),
    scene.SceneRecall(3, 2, Transition(5)),
    sensor.SensorGet(0x0056),
]
CONFIGURATION: list[WireMessage] = [
    keys.AppKeyAdd(KeyPair(0, 1), bytes(16)),
    keys.NetKeyUpdate(0, bytes(16)),
    keys.KeyRefreshPhaseSet(0, 3),
    bindings.ModelAppBind(ADDRESS, 0, onoff.SERVER),
    bindings.PublicationSet(ADDRESS, HUB, Publication(app_key=0, period=1), onoff.SERVER),
    bindings.SubscriptionVirtualAdd(ADDRESS, bytes(16), ModelId(1, products.COMPANY)),
    bindings.SubscriptionOverwrite(ADDRESS, 0xC000, onoff.SERVER),
    settings.HeartbeatPublicationSet(1, 2, 3, 4, 5, 0),
]


def nodes() -> list[Node]:
    made = []
    for make in MAKES:
        state = MeshState(address=ADDRESS, elements=3, device_key=bytes(16))
        state.net_keys[0] = NetKey(index=0, key=bytes(16))
        state.app_keys[0] = AppKey(index=0, key=bytes(16), net_index=0)
        node = Node(make(), state)
        for model in models_of(node.product.elements):
            model.bound = [0]
            model.publishing = Publishing(HUB, Publication(app_key=0, period=5))
        made.append(node)
    return made


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize(("key", "honest"), [(ByApp(0), APPLICATION), (ByDevice(ADDRESS), CONFIGURATION)])
def test_nodes_fuzzed(rounds: int, key: KeyName, honest: list[WireMessage]) -> None:
    victims, drawn, now = nodes(), random.Random(rounds), 0.0

    def parse(payload: bytes) -> None:
        nonlocal now
        now += drawn.random()
        node = drawn.choice(victims)
        dst = ADDRESS + drawn.randrange(3) * isinstance(key, ByApp)
        heard = Received(src=drawn.randrange(1, 99), dst=dst, payload=payload, key=key, net_index=0, ttl=5)
        for answer in (*node.handle(heard, now), *node.tick(now)):
            assert len(answer.payload) <= 380

    assert fuzz("node", parse, [one.message().pack() for one in honest], rounds, most=60) > 0


@pytest.mark.parametrize("rounds", ROUNDS)
def test_writes_fuzzed(rounds: int) -> None:
    """Before, in and after provisioning; nothing but its own octets makes a device a node."""
    network = Network()
    member = network.add(products.dimmable)
    network.join(member)
    drawn = random.Random(rounds)
    fresh = Peripheral(products.dimmable, bytes(16), entropy=drawn.randbytes)
    honest = [b"\x03\x00\x05", b"\x03\x02\x00\x00\x00\x00\x00", b"\x43\x03" + bytes(18), b"\x00\x68" + bytes(27)]
    written = 0

    def parse(data: bytes) -> None:
        nonlocal written
        written += 1
        for device in (fresh, member):
            if written % 50 == 1:
                device.disconnected()
                device.connected(66, float(written))
            device.written(drawn.choice((pb_gatt.DATA_IN, PROXY_IN)), data, float(written), float(written))
            device.tick(float(written))
            device.take_notifications()

    fuzz("writes", parse, honest, rounds, most=66)
    assert fresh.state is None
    assert member.state is not None
