"""Virtual nodes from their factory to their reset: provisioned, set up, used, misbehaving, re-keyed."""

from collections.abc import Callable

import pytest

from ble.errors import BleError, Malformed
from ble.mesh.access import Message
from ble.mesh.config.bindings import ModelAppBind, ModelAppStatus, SubscriptionStatus, SubscriptionVirtualAdd
from ble.mesh.config.indexes import KeyPair
from ble.mesh.config.keys import KeyRefreshPhaseSet, KeyRefreshPhaseStatus, Transition
from ble.mesh.config.refused import ConfigRefused
from ble.mesh.config.settings import Retransmit
from ble.mesh.configure import (
    Bound,
    Configured,
    Phase,
    Request,
    Setup,
    SomeAway,
    Unanswered,
    ask,
    configure,
    join_group,
    refresh,
    reset,
)
from ble.mesh.crypto import virtual_address
from ble.mesh.model_id import ModelId
from ble.mesh.models import ctl, health, hsl, known, level, lightness, onoff, sensor, vendor
from ble.mesh.models.transition import transition
from ble.mesh.node import products
from ble.mesh.node.faults import NodeFault, named
from ble.mesh.node.memory import Kept, unpack
from ble.mesh.node.peripheral import Peripheral
from ble.mesh.pb_gatt import SERVICE
from ble.mesh.provisioning.choosing import Choice
from ble.mesh.provisioning.device import Device
from ble.mesh.provisioning.faults import Fault
from ble.mesh.provisioning.pdus import Capabilities, Method, OutputAction
from ble.mesh.wire import WireMessage
from tests.ble.mesh.node_network import APP, APP_KEY, HUB, NET, Network

SETUP = Setup(keys=KeyPair(NET, APP), app_key=APP_KEY, relay=Retransmit(1, 1))
GROUP = 0xC000


def set_up(network: Network, node: Peripheral, setup: Setup = SETUP) -> Configured:
    network.join(node)
    network.connect(node)
    assert node.state is not None
    return network.carry_out(configure(node.state.address, setup))


def address_of(node: Peripheral) -> int:
    assert node.state is not None
    return node.state.address


def answers(network: Network, dst: int, message: WireMessage) -> list[tuple[int, WireMessage | None]]:
    return [(source, known.read(heard)) for source, heard in network.say(dst, message.message())]


def test_a_lamp_is_provisioned_set_up_switched_reset_and_provisioned_again() -> None:
    network = Network()
    lamp = network.add(products.dimmable)
    assert lamp.advertisement.service == SERVICE
    done = set_up(network, lamp)
    address = address_of(lamp)
    assert {one.model for one in done.bound} >= {onoff.SERVER, level.SERVER, lightness.SERVER, health.SERVER}
    assert done.refused == ()
    assert answers(network, address, onoff.set_on(True, 1)) == [(address, onoff.OnOffStatus(1))]
    assert answers(network, address, lightness.LightnessGet()) == [(address, lightness.LightnessStatus(0xFFFF))]
    assert answers(network, address, level.set_level(0, 2)) == [(address, level.LevelStatus(0))]
    assert answers(network, address, lightness.LightnessGet()) == [(address, lightness.LightnessStatus(0x8000))]
    assert network.carry_out(reset(address)) is True
    assert lamp.state is None
    assert lamp.advertisement.service == SERVICE
    network.hub.state.remove_node(address)
    set_up(network, lamp)
    assert address_of(lamp) > address
    assert answers(network, address_of(lamp), onoff.OnOffGet()) == [(address_of(lamp), onoff.OnOffStatus(0))]


def test_all_models_of_a_lamp_move_together_and_take_their_time() -> None:
    network = Network()
    lamp = network.add(products.dimmable)
    set_up(network, lamp)
    address = address_of(lamp)
    (status,) = answers(network, address, lightness.set_lightness(1000, 1, transition(10)))
    assert isinstance(status[1], lightness.LightnessStatus)
    assert status[1].target == 1000
    network.wait(4)
    assert answers(network, address, onoff.OnOffGet())[0][1] != onoff.OnOffStatus(1)
    network.wait(10)
    assert answers(network, address, onoff.OnOffGet()) == [(address, onoff.OnOffStatus(1))]
    assert answers(network, address, level.LevelGet()) == [(address, level.LevelStatus(1000 - 0x8000))]


def test_one_message_switches_a_group_behind_one_proxy() -> None:
    network = Network()
    lamps = [network.add(products.dimmable) for _ in range(3)]
    for lamp in lamps:
        set_up(network, lamp)
    for lamp in lamps[:2]:
        network.carry_out(join_group(address_of(lamp), Bound(address_of(lamp), onoff.SERVER), GROUP))
    heard = answers(network, GROUP, onoff.set_on(True, 9))
    assert sorted(source for source, _ in heard) == [address_of(lamp) for lamp in lamps[:2]]
    assert answers(network, address_of(lamps[2]), onoff.OnOffGet()) == [(address_of(lamps[2]), onoff.OnOffStatus(0))]


def test_a_virtual_address_reaches_who_has_its_label() -> None:
    network = Network()
    lamp = network.add(products.dimmable)
    set_up(network, lamp)
    address, label = address_of(lamp), b"L" * 16
    message = SubscriptionVirtualAdd(address, label, onoff.SERVER)
    status = network.carry_out(ask(address, message, SubscriptionStatus))
    assert (status.status, status.address) == (0, virtual_address(label))
    heard = network.say(virtual_address(label), onoff.set_on(True, 1).message(), label=label)
    assert [source for source, _ in heard] == [address]


def test_elements_have_addresses_of_their_own() -> None:
    network = Network()
    strip = network.add(lambda: products.sockets(4))
    set_up(network, strip)
    third = address_of(strip) + 2
    assert answers(network, third, onoff.set_on(True, 1)) == [(third, onoff.OnOffStatus(1))]
    assert answers(network, third - 1, onoff.OnOffGet()) == [(third - 1, onoff.OnOffStatus(0))]


@pytest.mark.parametrize(
    ("make", "message", "answer"),
    [
        (products.tunable, ctl.set_ctl(5000, 3000, 1), ctl.CtlStatus(5000, 3000)),
        (products.coloured, hsl.set_hsl(5, 6, 7, 1), hsl.HslStatus(5, 6, 7)),
    ],
)
def test_white_and_coloured_lamps(
    make: Callable[[], products.Product], message: WireMessage, answer: WireMessage
) -> None:
    network = Network()
    lamp = network.add(make)
    set_up(network, lamp)
    assert answers(network, address_of(lamp), message) == [(address_of(lamp), answer)]
    assert answers(network, address_of(lamp), onoff.OnOffGet()) == [(address_of(lamp), onoff.OnOffStatus(1))]


def test_a_colour_temperature_and_its_level_are_one_state() -> None:
    network = Network()
    lamp = network.add(products.tunable)
    set_up(network, lamp)
    second = address_of(lamp) + 1
    assert answers(network, second, level.set_level(level.HIGHEST, 1)) == [(second, level.LevelStatus(level.HIGHEST))]
    assert answers(network, second, ctl.TemperatureGet()) == [(second, ctl.TemperatureStatus(6500, 0))]
    answers(network, address_of(lamp), ctl.set_ctl(5000, 2700, 2))
    assert answers(network, second, level.LevelGet()) == [(second, level.LevelStatus(level.LOWEST))]


def test_a_sensor_reports_by_itself_what_has_changed() -> None:
    network = Network()
    meter = network.add(products.thermometer)
    setup = Setup(keys=KeyPair(NET, APP), app_key=APP_KEY, publish_to=HUB)
    set_up(network, meter, setup)
    network.wait(1)
    before = len(network.heard)
    measuring = meter.product.elements[0].model(sensor.SERVER)
    assert measuring is not None
    assert isinstance(measuring.server, sensor.SensorServer)
    measuring.server.measure(0x0056, 25.5)
    network.wait(1)
    (report,) = network.heard[before:]
    assert (
        report.payload == sensor.SensorStatus((sensor.value(0x0056, 25.5), sensor.value(0x00A7, 45))).message().pack()
    )


def test_a_vendors_model_is_bound_and_answers() -> None:
    network = Network()
    lamp = network.add(products.dimmable)
    done = set_up(network, lamp)
    assert ModelId(1, products.COMPANY) in {one.model for one in done.bound}
    heard = network.say(address_of(lamp), vendor.message(products.COMPANY, 1, b"ping"))
    assert heard == [(address_of(lamp), vendor.message(products.COMPANY, 2, b"ping"))]


def test_what_is_not_for_it_is_not_obeyed() -> None:
    """Malformed, unbound, of no model, or configuration that is not under its own device key."""
    network = Network()
    lamp = network.add(products.dimmable)
    set_up(network, lamp)
    address = address_of(lamp)
    for message in (Message(0x8202, b"\x02\x01"), Message(0x8202), Message(0x8049), Message(0x826D), Message(0xC00100)):
        assert network.say(address, message) == []
    assert lamp.state is not None


def test_who_insists_reads_the_code_that_the_device_shows() -> None:
    network = Network()
    offered = Capabilities(elements=1, algorithms=3, output_size=6, output_actions=1 << OutputAction.NUMERIC)
    lamp = network.add(products.dimmable, device=Device(capabilities=offered))
    node = network.join(lamp, Choice(person=True, authenticated=True))
    assert node.method is Method.OUTPUT


def test_a_node_that_had_no_power_goes_on_where_it_was() -> None:
    network = Network()
    saved: list[Kept | None] = []
    lamp = network.add(products.dimmable, save=lambda kept: saved.append(kept and unpack(kept.pack())))
    set_up(network, lamp)
    address = address_of(lamp)
    network.carry_out(join_group(address, Bound(address, onoff.SERVER), GROUP))
    network.nodes.remove(lamp)
    again = network.add(products.dimmable, kept=saved[-1])
    network.connect(again)
    assert answers(network, address, onoff.set_on(True, 1)) == [(address, onoff.OnOffStatus(1))]
    assert answers(network, GROUP, onoff.OnOffGet()) == [(address, onoff.OnOffStatus(1))]
    with pytest.raises(Malformed):
        network.add(products.thermometer, kept=saved[-1])
    with pytest.raises(Malformed):
        unpack(b"{}")


def test_after_a_reset_nothing_is_kept() -> None:
    network = Network()
    saved: list[Kept | None] = []
    lamp = network.add(products.dimmable, save=saved.append)
    set_up(network, lamp)
    network.carry_out(reset(address_of(lamp)))
    assert saved[-1] is None


# Misbehaviour


@pytest.mark.parametrize("fault", Fault)
def test_a_device_that_cheats_is_not_let_in(fault: Fault) -> None:
    network = Network()
    lamp = network.add(products.dimmable, named(fault.value))
    with pytest.raises(BleError):
        network.join(lamp)
    assert lamp.state is None
    assert network.hub.state.nodes == {}


@pytest.mark.parametrize("at", range(1, 6))
def test_where_the_link_drops_half_way_the_next_attempt_succeeds(at: int) -> None:
    network = Network()
    lamp = network.add(products.dimmable)
    lamp.drop_at = at
    with pytest.raises(BleError):
        network.join(lamp)
    assert lamp.wants_disconnect
    assert lamp.state is None
    lamp.disconnected()
    lamp.drop_at = 0
    assert set_up(network, lamp).bound


def test_where_the_link_drops_on_the_data_the_key_is_already_kept() -> None:
    network = Network()
    lamp = network.add(products.dimmable, NodeFault.DROPS_ON_DATA)
    with pytest.raises(BleError):
        network.join(lamp)
    assert lamp.wants_disconnect
    assert [row.uuid for row in network.hub.state.nodes.values()] == [lamp.uuid]


def test_a_silent_node_is_said_to_be_silent() -> None:
    network = Network()
    lamp = network.add(products.dimmable, NodeFault.SILENT)
    network.join(lamp)
    network.connect(lamp)
    with pytest.raises(Unanswered):
        network.carry_out(configure(address_of(lamp), SETUP))


def test_a_wrong_device_key_moves_nothing() -> None:
    network = Network()
    lamp = network.add(products.dimmable)
    set_up(network, lamp)
    network.hub.state.nodes[address_of(lamp)].device_key = b"w" * 16
    with pytest.raises(Unanswered):
        network.carry_out(reset(address_of(lamp)))
    assert lamp.state is not None


def test_a_late_answer_to_something_else_is_not_taken() -> None:
    asked = Request(2, ModelAppBind(2, APP, onoff.SERVER), ModelAppStatus)
    assert asked.answered_by(ModelAppStatus(0, 2, APP, onoff.SERVER).message())
    assert not asked.answered_by(ModelAppStatus(0, 2, APP, level.SERVER).message())
    assert not asked.answered_by(ModelAppStatus(0, 3, APP, onoff.SERVER).message())
    assert not asked.answered_by(Message(ModelAppStatus.OPCODE, b""))
    assert not asked.answered_by(Message(0x8204, b"\x01"))


def test_a_slow_node_is_waited_for() -> None:
    network = Network()
    lamp = network.add(products.dimmable, NodeFault.SLOW)
    assert set_up(network, lamp).bound


def test_a_node_that_is_gone_without_a_word_is_reset() -> None:
    network = Network()
    lamp = network.add(products.dimmable, NodeFault.RESETS_SILENTLY)
    set_up(network, lamp)
    assert network.carry_out(reset(address_of(lamp))) is False
    assert lamp.state is None


def test_a_node_that_stays_is_told_of() -> None:
    network = Network()
    lamp = network.add(products.dimmable, NodeFault.IGNORES_RESET)
    set_up(network, lamp)
    with pytest.raises(Unanswered):
        network.carry_out(reset(address_of(lamp)))
    assert lamp.state is not None


def test_a_fault_has_a_name() -> None:
    assert named("") is None
    assert named("slow") is NodeFault.SLOW
    with pytest.raises(ValueError, match="no_such"):
        named("no_such")


def test_a_key_of_another_network_is_refused_with_its_cause() -> None:
    network = Network()
    lamp = network.add(products.dimmable)
    network.join(lamp)
    network.connect(lamp)
    with pytest.raises(ConfigRefused) as refused:
        network.carry_out(configure(address_of(lamp), Setup(keys=KeyPair(5, APP), app_key=APP_KEY)))
    assert refused.value.code == "config_invalid_netkey_index"


# Key refresh


def test_the_keys_change_under_those_that_stay_and_the_others_are_out() -> None:
    network = Network()
    kept, thrown_out = network.add(products.dimmable), network.add(products.dimmable)
    set_up(network, thrown_out)
    set_up(network, kept)
    outcome = network.carry_out(refresh(NET, network.new_net_key, {APP: network.new_app_key}, [address_of(kept)]))
    assert outcome.done == (address_of(kept),)
    assert (outcome.left_out, outcome.late) == ((), ())
    assert network.phases == [Phase.DISTRIBUTE, Phase.USE_NEW, Phase.REVOKE_OLD]
    assert kept.state is not None
    assert kept.state.net_keys[NET].key == network.new_net_key
    assert kept.state.app_keys[APP].key == network.new_app_key
    assert answers(network, address_of(kept), onoff.set_on(True, 1)) == [(address_of(kept), onoff.OnOffStatus(1))]
    assert answers(network, address_of(thrown_out), onoff.set_on(True, 2)) == []


def test_a_node_that_does_not_answer_in_a_refresh_is_left_out() -> None:
    network = Network()
    kept, silent = network.add(products.dimmable), network.add(products.dimmable, NodeFault.SILENT)
    network.join(silent)
    set_up(network, kept)
    nodes = [address_of(silent), address_of(kept)]
    outcome = network.carry_out(refresh(NET, network.new_net_key, {APP: network.new_app_key}, nodes))
    assert outcome.left_out == (address_of(silent),)
    assert outcome.done == (address_of(kept),)


def test_no_key_is_used_before_all_that_stay_have_it_and_a_second_try_takes_all_along() -> None:
    network = Network()
    kept, moved, silent = (network.add(products.dimmable) for _ in range(3))
    for node in (silent, moved, kept):
        set_up(network, node)
    nodes = [address_of(node) for node in (kept, moved, silent)]
    silent._fault = NodeFault.SILENT
    with pytest.raises(SomeAway):
        network.carry_out(refresh(NET, network.new_net_key, {APP: network.new_app_key}, nodes, patient=True))
    assert network.phases == [Phase.DISTRIBUTE]
    assert [node.state.net_keys[NET].phase for node in (kept, moved) if node.state] == [1, 1]
    # As a hub does that is killed before it has told all.
    network.carry_out(ask(address_of(moved), KeyRefreshPhaseSet(NET, Transition.USE_NEW), KeyRefreshPhaseStatus))
    silent._fault = None
    outcome = network.carry_out(refresh(NET, network.new_net_key, {APP: network.new_app_key}, nodes, patient=True))
    assert (outcome.done, outcome.left_out, outcome.late) == (tuple(nodes), (), ())
    keys = [node.state.net_keys[NET] for node in (kept, moved, silent) if node.state]
    assert [(key.key, key.phase) for key in keys] == [(network.new_net_key, 0)] * 3
