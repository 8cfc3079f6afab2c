"""Two stacks and what goes between them."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ble.errors import BleError
from ble.mesh import upper
from ble.mesh.beacons import NetworkBeacon
from ble.mesh.crypto import NotAuthentic, virtual_address
from ble.mesh.exchange import ByApp, ByDevice, Configured, ControlReceived, NotSent, Received, Sent
from ble.mesh.iv import MIN_S
from ble.mesh.lower import Ack, Segment, pack, read
from ble.mesh.network import MAX_SEQ, NetworkPdu
from ble.mesh.proxy import Kind, Whole
from ble.mesh.proxy_filter import Add, FilterType, SetType
from ble.mesh.sequence import BLOCK, NumbersUsedUp
from ble.mesh.stack import Stack
from ble.mesh.timing import PROTOCOL_1_0, PROTOCOL_1_1, Timing
from tests.ble.mesh.pairs import (
    APP,
    DEVICE,
    HUB,
    NET,
    NODE,
    WALL,
    Link,
    carry,
    hub_state,
    node_state,
    pair,
    reserve,
    stack_of,
)


def received(stack: Stack) -> list[Received]:
    return [event for event in stack.take_events() if isinstance(event, Received)]


@given(st.binary(min_size=1, max_size=376), st.booleans(), st.booleans())
def test_a_payload_arrives_as_it_was_sent(payload: bytes, szmic: bool, application: bool) -> None:
    hub, node = pair()
    key = ByApp(0) if application else ByDevice(NODE)
    handle = hub.send(NODE + 1, payload, key, 0.0, szmic=szmic)
    carry(hub, node)
    (event,) = received(node)
    assert (event.src, event.dst, event.payload, event.key) == (HUB, NODE + 1, payload, key)
    assert hub.take_events() == [Sent(handle)]


def test_a_segmented_message_is_told_sent_once_acknowledged() -> None:
    hub, node = pair()
    handle = hub.send(NODE, bytes(100), ByDevice(NODE), 0.0)
    assert hub.take_events() == []
    carry(hub, node)
    assert hub.take_events() == [Sent(handle)]


def test_groups_and_virtual_addresses() -> None:
    hub, node = pair()
    label = bytes(range(16))
    hub.send(0xC005, b"group", ByApp(0), 0.0)
    hub.send(virtual_address(label), b"virtual", ByApp(0), 0.0, label=label)
    hub.send(0xFFFF, b"everybody", ByApp(0), 0.0)
    out = hub.take_out()
    for whole in out:
        node.receive(whole, 0.0, WALL)
    assert [event.payload for event in received(node)] == [b"everybody"]
    other = stack_of(node_state())
    other.groups, other.labels = {0xC005}, {label}
    for whole in out:
        other.receive(whole, 0.0, WALL)
    assert [(event.payload, event.label) for event in received(other)] == [
        (b"group", b""),
        (b"virtual", label),
        (b"everybody", b""),
    ]


def test_a_replayed_message_is_not_heard_again() -> None:
    hub, node = pair()
    hub.send(NODE, b"once", ByDevice(NODE), 0.0)
    (whole,) = hub.take_out()
    node.receive(whole, 0.0, WALL)
    assert len(received(node)) == 1
    assert node.take_marks() == {HUB: 0}
    again = stack_of(node.state)  # a cache that has forgotten, a list that has not
    again.receive(whole, 0.0, WALL)
    assert received(again) == []


def test_a_replayed_segmented_message_is_not_heard_again() -> None:
    hub, node = pair()
    hub.send(NODE, bytes(50), ByDevice(NODE), 0.0)
    segments = hub.take_out()
    for whole in segments:
        node.receive(whole, 0.0, WALL)
    assert len(received(node)) == 1
    again = stack_of(node.state)
    for whole in segments:
        again.receive(whole, 0.0, WALL)
    assert received(again) == []


def test_an_older_message_after_a_newer_one_is_refused() -> None:
    hub, node = pair()
    hub.send(NODE, b"older", ByDevice(NODE), 0.0)
    hub.send(NODE, b"newer", ByDevice(NODE), 0.0)
    older, newer = hub.take_out()
    node.receive(newer, 0.0, WALL)
    node.receive(older, 0.0, WALL)
    assert [event.payload for event in received(node)] == [b"newer"]


def test_a_full_replay_list_hears_no_new_source() -> None:
    hub, node = pair()
    node.state.replay.update(dict.fromkeys(range(512, 512 + 4096), 1))
    hub.send(NODE, b"x", ByDevice(NODE), 0.0)
    carry(hub, node)
    assert received(node) == []


def test_a_wrong_device_key_is_refused() -> None:
    hub, node = pair()
    hub.state.nodes[NODE].device_key = bytes(16)
    hub.send(NODE, b"x", ByDevice(NODE), 0.0)
    (whole,) = hub.take_out()
    with pytest.raises(NotAuthentic):
        node.receive(whole, 0.0, WALL)
    assert (node.take_events(), node.take_marks()) == ([], {})


def test_a_wrong_application_or_network_key_is_refused() -> None:
    for ours in ("app_keys", "net_keys"):
        hub, node = pair()
        getattr(hub.state, ours)[0].key = bytes(16)
        hub.send(NODE, b"x", ByApp(0), 0.0)
        (whole,) = hub.take_out()
        with pytest.raises(NotAuthentic):
            node.receive(whole, 0.0, WALL)


def test_an_iv_index_that_went_back_is_refused() -> None:
    hub, node = pair()
    node.state.iv = hub.state.iv = type(hub.state.iv)(index=7)
    reserve(hub)
    for index, updating in ((6, False), (6, True), (0, False), (7, True), (7 + 43, False)):
        said = NetworkBeacon(False, updating, index).secure(NET)
        node.receive(Whole(Kind.BEACON, said), 0.0, WALL)
        assert (node.state.iv.index, node.state.iv.updating) == (7, False)
    old = stack_of(hub_state())
    old.state.iv = type(hub.state.iv)(index=5)
    reserve(old)
    old.send(NODE, b"x", ByDevice(NODE), 0.0)
    with pytest.raises(NotAuthentic):
        node.receive(old.take_out()[0], 0.0, WALL)


def test_an_iv_update_from_both_sides() -> None:
    hub, node = pair()
    assert hub.begin_iv_update(WALL)
    assert not hub.finish_iv_update(WALL + MIN_S - 1)
    hub.beacon()
    carry(hub, node)
    assert (node.state.iv.index, node.state.iv.updating, node.state.iv.sending) == (1, True, 0)
    assert node.changed
    hub.send(NODE, b"in progress", ByDevice(NODE), 0.0)
    carry(hub, node)
    assert hub.finish_iv_update(WALL + MIN_S)
    with pytest.raises(NumbersUsedUp):
        hub.send(NODE, b"no number on disk under the new index", ByDevice(NODE), 0.0)
    reserve(hub)
    assert hub.state.reserved.upto == BLOCK
    hub.send(NODE, b"new index", ByDevice(NODE), 0.0)
    carry(hub, node)
    assert [event.payload for event in received(node)] == [b"in progress", b"new index"]
    hub.beacon()
    (beacon,) = hub.take_out()
    node.receive(beacon, 0.0, WALL + MIN_S - 1)
    assert node.state.iv.updating
    node.receive(beacon, 0.0, WALL + MIN_S)
    assert (node.state.iv.index, node.state.iv.updating) == (1, False)


def test_recovery_of_the_iv_index_once_in_192_hours() -> None:
    _, node = pair()
    node.receive(Whole(Kind.BEACON, NetworkBeacon(False, False, 30).secure(NET)), 0.0, WALL)
    assert node.state.iv.index == 30
    node.receive(Whole(Kind.BEACON, NetworkBeacon(False, True, 40).private(NET, bytes(13))), 0.0, WALL + MIN_S)
    assert node.state.iv.index == 30
    node.receive(Whole(Kind.BEACON, NetworkBeacon(False, True, 40).private(NET, bytes(13))), 0.0, WALL + 2 * MIN_S)
    assert (node.state.iv.index, node.state.iv.updating) == (40, True)


def test_the_iv_index_waits_for_segments_under_way() -> None:
    hub, node = pair()
    hub.send(NODE, bytes(100), ByDevice(NODE), 0.0)
    hub.receive(Whole(Kind.BEACON, NetworkBeacon(False, False, 3).secure(NET)), 0.0, WALL)
    assert hub.state.iv.index == 0
    carry(hub, node)
    hub.settle(WALL)
    assert hub.state.iv.index == 3


def test_a_forged_beacon_is_refused() -> None:
    _, node = pair()
    for forged in (NetworkBeacon(False, False, 9).secure(APP), NetworkBeacon(False, False, 9).private(APP, bytes(13))):
        with pytest.raises(NotAuthentic):
            node.receive(Whole(Kind.BEACON, forged), 0.0, WALL)
    assert node.state.iv.index == 0


def test_key_refresh_accepts_both_keys_and_ends_with_the_new_one() -> None:
    hub, node = pair()
    new_net, new_app = bytes(16), bytes(15) + b"\1"
    for stack in (hub, node):
        stack.state.net_keys[0].begin(new_net)
        stack.state.app_keys[0].new_key = new_app
    hub.send(NODE, b"phase 1", ByApp(0), 0.0)
    carry(hub, node)
    hub.state.net_keys[0].use_new()
    hub.send(NODE, b"phase 2", ByApp(0), 0.0)
    hub.beacon()
    carry(hub, node)
    assert node.state.net_keys[0].phase == 2
    hub.revoke_old(0)
    hub.beacon()
    hub.send(NODE, b"after", ByApp(0), 0.0)
    carry(hub, node)
    assert (node.state.net_keys[0].key, node.state.net_keys[0].phase, node.state.app_keys[0].key) == (
        new_net,
        0,
        new_app,
    )
    assert [event.payload for event in received(node)] == [b"phase 1", b"phase 2", b"after"]
    stranger = stack_of(hub_state())
    stranger.send(NODE, b"old key", ByApp(0), 0.0)
    with pytest.raises(NotAuthentic):
        node.receive(stranger.take_out()[0], 0.0, WALL)


def test_heartbeats_and_proxy_configuration() -> None:
    hub, node = pair()
    node.control(HUB, upper.HEARTBEAT, upper.Heartbeat(5, 3).pack())
    hub.configure(SetType(FilterType.ACCEPT))
    hub.configure(Add((1, 0xC000)))
    carry(hub, node)
    (heartbeat,) = hub.take_events()
    assert isinstance(heartbeat, ControlReceived)
    assert upper.read_heartbeat(heartbeat.parameters) == upper.Heartbeat(5, 3)
    assert node.take_events() == [Configured(HUB, SetType(FilterType.ACCEPT)), Configured(HUB, Add((1, 0xC000)))]


def test_nothing_is_sent_without_reserved_numbers() -> None:
    hub = Stack(hub_state())
    with pytest.raises(NumbersUsedUp):
        hub.send(NODE, b"x", ByDevice(NODE), 0.0)
    hub.state.reserved = type(hub.state.reserved)(upto=MAX_SEQ + 1)
    with pytest.raises(NumbersUsedUp):
        Stack(hub.state).reserve_due()


def test_a_source_that_begins_and_never_ends_takes_a_bounded_place() -> None:
    hub, node = pair()
    for seq in range(1000):
        payload = pack(Segment(ctl=False, head=0, szmic=False, seq_zero=seq & 0x1FFF, number=0, last=3, data=bytes(12)))
        for src in (0x10, 0x11):
            pdu = NetworkPdu(ctl=False, ttl=3, seq=seq, src=src + seq % 500 * 16, dst=NODE, payload=payload)
            node.receive(Whole(Kind.NETWORK, _sealed(pdu)), 0.0, WALL)
    assert len(node._incoming) <= 64
    acks = [whole for whole in node.take_out() if whole.kind is Kind.NETWORK]
    assert acks, "a sender is told that there is no room"
    assert hub.state.address == HUB
    node.tick(11.0)
    assert len(node._incoming) == 0


def _sealed(pdu: NetworkPdu) -> bytes:
    from ble.mesh import keys, network

    return network.seal(pdu, keys.flooding(NET), 0)


def test_a_peer_that_is_busy_and_one_that_is_silent_are_told_apart() -> None:
    hub, node = pair()
    handle = hub.send(NODE, bytes(40), ByDevice(NODE), 0.0)
    first = read(False, _opened(hub).payload)
    assert isinstance(first, Segment)
    busy = NetworkPdu(ctl=True, ttl=3, seq=9, src=NODE, dst=HUB, payload=pack(Ack(False, first.seq_zero, 0)))
    hub.receive(Whole(Kind.NETWORK, _sealed(busy)), 0.0, WALL)
    assert hub.take_events() == [NotSent(handle, "peer_busy")]
    handle = hub.send(NODE, bytes(40), ByDevice(NODE), 0.0)
    while (due := hub.next_deadline) is not None:
        reserve(hub)
        hub.tick(due)
    assert hub.take_events() == [NotSent(handle, "not_acknowledged")]
    assert node.take_events() == []


def _opened(hub: Stack) -> NetworkPdu:
    from ble.mesh import keys, network

    return network.unseal(hub.take_out()[0].data, [keys.flooding(NET)], 0).pdu


def test_segmented_messages_to_one_node_go_one_after_the_other() -> None:
    hub, node = pair()
    payloads = [bytes([n]) * 30 for n in range(5)]
    handles = [hub.send(NODE, payload, ByDevice(NODE), 0.0) for payload in payloads]
    hub.cancel(handles[2], 0.0)
    carry(hub, node)
    assert [event.payload for event in received(node)] == [p for n, p in enumerate(payloads) if n != 2]


def schedule(seed: int) -> int:
    """Messages over a bad link: each is heard whole and once, or not, and the sender is told. How many were sent."""
    random = Random(seed)
    timing: Timing = random.choice([PROTOCOL_1_1, PROTOCOL_1_0])
    delay = random.choice([0.01, 0.1, 0.4, 2.0])
    link = Link(pair(timing), random, loss=random.random() * 0.6, double=random.random() * 0.3, delay=delay)
    sent: list[dict[int, bytes]] = [{}, {}]
    for number in range(random.randint(1, 4)):
        end = random.randrange(2)
        payload = bytes([number]) + random.randbytes(random.choice([12, 30, 100, 375]))
        handle = link.ends[end].send((NODE, HUB)[end], payload, ByDevice(NODE), link.now)
        sent[end][handle] = payload
        link.run(link.now + random.random())
    link.run(600.0)
    assert link._next() is None, "something still waits after ten minutes"
    for end in (0, 1):
        heard = [event.payload for event in link.heard[1 - end] if isinstance(event, Received)]
        assert len(heard) == len(set(heard))
        assert set(heard) <= set(sent[end].values())
        told = {event.handle: event for event in link.heard[end] if isinstance(event, Sent | NotSent)}
        assert told.keys() == sent[end].keys(), "every message ends, one way or the other"
        for handle, event in told.items():
            if isinstance(event, Sent):
                assert sent[end][handle] in heard
            else:
                assert event.cause == "not_acknowledged"
    return sum(isinstance(event, Sent) for heard in link.heard for event in heard)


def test_schedules_over_a_bad_link_end() -> None:
    assert sum(schedule(seed) for seed in range(150)) > 150


@pytest.mark.full
def test_ten_thousand_schedules_over_a_bad_link_end() -> None:
    assert sum(schedule(seed) for seed in range(10_000)) > 10_000


def test_a_key_or_node_that_is_not_there() -> None:
    hub, _ = pair()
    for key in (ByApp(5), ByDevice(0x0999)):
        with pytest.raises(BleError) as caught:
            hub.send(NODE, b"x", key, 0.0)
        assert caught.value.code == "key_unknown"
    assert DEVICE not in repr(hub.state).encode()
