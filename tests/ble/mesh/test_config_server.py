"""The configuration server: what it does, and each status with which it will not (MshPRT 1.1, 4.4.1)."""

import pytest

from ble.mesh.config import bindings, keys, sar, settings
from ble.mesh.config.bindings import Publication
from ble.mesh.config.indexes import KeyPair
from ble.mesh.config.refused import Status
from ble.mesh.crypto import virtual_address
from ble.mesh.exchange import ByApp, ByDevice, Received
from ble.mesh.keys import AppKey, NetKey
from ble.mesh.model_id import ModelId
from ble.mesh.models import health, onoff, vendor
from ble.mesh.node import products
from ble.mesh.node.elements import CONFIG_SERVER, MAX_BOUND, MAX_SUBSCRIBED
from ble.mesh.node.key_list import MAX_KEYS
from ble.mesh.node.node import Node
from ble.mesh.state import MeshState
from ble.mesh.wire import WireMessage

ADDRESS, HUB = 0x0010, 0x0001
KEY, OTHER = b"k" * 16, b"o" * 16
ONOFF = onoff.SERVER
ECHO = ModelId(1, products.COMPANY)


def node() -> Node:
    state = MeshState(address=ADDRESS, elements=1, device_key=bytes(16))
    state.net_keys[0] = NetKey(index=0, key=KEY)
    state.app_keys[0] = AppKey(index=0, key=KEY, net_index=0)
    return Node(products.dimmable(), state)


def told(one: Node, message: WireMessage) -> WireMessage:
    answer = one.configuration.handle(message.message())
    assert answer is not None
    assert type(answer).read(answer.message().parameters) == answer
    return answer


def status(one: Node, message: WireMessage) -> Status:
    answer = told(one, message)
    return Status(answer.status)  # type: ignore[attr-defined]


def test_application_keys() -> None:
    one = node()
    assert status(one, keys.AppKeyAdd(KeyPair(0, 1), KEY)) is Status.SUCCESS
    assert status(one, keys.AppKeyAdd(KeyPair(0, 1), KEY)) is Status.SUCCESS
    assert status(one, keys.AppKeyAdd(KeyPair(0, 1), OTHER)) is Status.KEY_INDEX_ALREADY_STORED
    assert status(one, keys.AppKeyAdd(KeyPair(9, 2), KEY)) is Status.INVALID_NETKEY_INDEX
    assert told(one, keys.AppKeyGet(0)) == keys.AppKeyList(0, 0, (0, 1))
    assert status(one, keys.AppKeyGet(9)) is Status.INVALID_NETKEY_INDEX
    assert status(one, keys.AppKeyUpdate(KeyPair(0, 9), OTHER)) is Status.INVALID_APPKEY_INDEX
    assert status(one, keys.AppKeyUpdate(KeyPair(0, 1), OTHER)) is Status.CANNOT_UPDATE
    assert status(one, keys.AppKeyDelete(KeyPair(0, 1))) is Status.SUCCESS
    assert status(one, keys.AppKeyDelete(KeyPair(0, 1))) is Status.SUCCESS
    answers = [status(one, keys.AppKeyAdd(KeyPair(0, index), KEY)) for index in range(MAX_KEYS + 1)]
    assert answers[-1] is Status.INSUFFICIENT_RESOURCES


def test_network_keys() -> None:
    one = node()
    assert status(one, keys.NetKeyDelete(0)) is Status.CANNOT_REMOVE
    assert status(one, keys.NetKeyAdd(1, OTHER)) is Status.SUCCESS
    assert status(one, keys.NetKeyAdd(1, KEY)) is Status.KEY_INDEX_ALREADY_STORED
    assert status(one, keys.AppKeyAdd(KeyPair(1, 5), KEY)) is Status.SUCCESS
    assert status(one, keys.AppKeyAdd(KeyPair(0, 5), KEY)) is Status.INVALID_NETKEY_INDEX
    assert status(one, keys.AppKeyDelete(KeyPair(0, 5))) is Status.INVALID_BINDING
    assert told(one, keys.NetKeyGet()) == keys.NetKeyList((0, 1))
    assert status(one, keys.NetKeyDelete(1)) is Status.SUCCESS
    assert 5 not in one.state.app_keys
    assert status(one, keys.NetKeyUpdate(1, KEY)) is Status.INVALID_NETKEY_INDEX
    answers = [status(one, keys.NetKeyAdd(index, KEY)) for index in range(MAX_KEYS + 1)]
    assert answers[-1] is Status.INSUFFICIENT_RESOURCES


def test_a_key_refresh_goes_through_its_phases() -> None:
    one = node()
    use, revoke = keys.KeyRefreshPhaseSet(0, 2), keys.KeyRefreshPhaseSet(0, 3)
    assert status(one, use) is Status.CANNOT_UPDATE
    assert status(one, keys.NetKeyUpdate(0, OTHER)) is Status.SUCCESS
    assert status(one, keys.NetKeyUpdate(0, OTHER)) is Status.SUCCESS
    assert status(one, keys.NetKeyUpdate(0, b"x" * 16)) is Status.CANNOT_UPDATE
    assert status(one, keys.AppKeyUpdate(KeyPair(0, 0), OTHER)) is Status.SUCCESS
    assert status(one, keys.AppKeyUpdate(KeyPair(0, 0), b"x" * 16)) is Status.KEY_INDEX_ALREADY_STORED
    assert told(one, use) == keys.KeyRefreshPhaseStatus(0, 0, 2)
    assert told(one, revoke) == keys.KeyRefreshPhaseStatus(0, 0, 0)
    assert (one.state.net_keys[0].key, one.state.app_keys[0].key) == (OTHER, OTHER)
    assert status(one, keys.KeyRefreshPhaseGet(9)) is Status.INVALID_NETKEY_INDEX
    assert status(one, keys.KeyRefreshPhaseSet(0, 1)) is Status.CANNOT_UPDATE


def test_bindings() -> None:
    one = node()
    assert status(one, bindings.ModelAppBind(ADDRESS, 0, ONOFF)) is Status.SUCCESS
    assert status(one, bindings.ModelAppBind(ADDRESS, 0, ECHO)) is Status.SUCCESS
    assert told(one, bindings.SigModelAppGet(ADDRESS, ONOFF)) == bindings.SigModelAppList(0, ADDRESS, ONOFF, (0,))
    assert told(one, bindings.VendorModelAppGet(ADDRESS, ECHO)) == bindings.VendorModelAppList(0, ADDRESS, ECHO, (0,))
    assert status(one, bindings.ModelAppBind(ADDRESS + 1, 0, ONOFF)) is Status.INVALID_ADDRESS
    assert status(one, bindings.ModelAppBind(ADDRESS, 0, ModelId(0x1100))) is Status.INVALID_MODEL
    assert status(one, bindings.ModelAppBind(ADDRESS, 9, ONOFF)) is Status.INVALID_APPKEY_INDEX
    assert status(one, bindings.ModelAppBind(ADDRESS, 0, CONFIG_SERVER)) is Status.CANNOT_BIND
    assert status(one, bindings.ModelAppUnbind(ADDRESS, 0, ONOFF)) is Status.SUCCESS
    assert told(one, bindings.SigModelAppGet(ADDRESS, ONOFF)) == bindings.SigModelAppList(0, ADDRESS, ONOFF, ())
    for index in range(1, MAX_BOUND + 2):
        told(one, keys.AppKeyAdd(KeyPair(0, index), KEY))
    answers = [status(one, bindings.ModelAppBind(ADDRESS, index, ONOFF)) for index in range(1, MAX_BOUND + 2)]
    assert answers[-1] is Status.INSUFFICIENT_RESOURCES


def test_subscriptions() -> None:
    one = node()
    assert status(one, bindings.SubscriptionAdd(ADDRESS, 0xC000, ONOFF)) is Status.SUCCESS
    assert status(one, bindings.SubscriptionVirtualAdd(ADDRESS, b"L" * 16, ONOFF)) is Status.SUCCESS
    listed = bindings.SigSubscriptionList(0, ADDRESS, ONOFF, (0xC000, virtual_address(b"L" * 16)))
    assert told(one, bindings.SigSubscriptionGet(ADDRESS, ONOFF)) == listed
    assert (one.groups, one.labels) == ({0xC000}, {b"L" * 16})
    for wrong in (0x0000, 0x0010, 0x8001, 0xFFFF):
        assert status(one, bindings.SubscriptionAdd(ADDRESS, wrong, ONOFF)) is Status.INVALID_ADDRESS
    assert status(one, bindings.SubscriptionAdd(ADDRESS, 0xC000, health.SERVER)) is Status.NOT_A_SUBSCRIBE_MODEL
    assert status(one, bindings.SubscriptionDelete(ADDRESS, 0xC000, ONOFF)) is Status.SUCCESS
    assert status(one, bindings.SubscriptionVirtualDelete(ADDRESS, b"L" * 16, ONOFF)) is Status.SUCCESS
    assert one.groups == set()
    assert status(one, bindings.SubscriptionOverwrite(ADDRESS, 0xC005, ONOFF)) is Status.SUCCESS
    assert status(one, bindings.SubscriptionVirtualOverwrite(ADDRESS, b"M" * 16, ONOFF)) is Status.SUCCESS
    assert (one.groups, one.labels) == (set(), {b"M" * 16})
    assert status(one, bindings.SubscriptionDeleteAll(ADDRESS, ONOFF)) is Status.SUCCESS
    assert one.labels == set()
    group = 0xC100
    answers = [
        status(one, bindings.SubscriptionAdd(ADDRESS, group + index, ECHO)) for index in range(MAX_SUBSCRIBED + 1)
    ]
    assert answers[-1] is Status.INSUFFICIENT_RESOURCES


def test_publication() -> None:
    one = node()
    to_hub = bindings.PublicationSet(ADDRESS, HUB, Publication(app_key=0, period=2), ONOFF)
    assert status(one, to_hub) is Status.INVALID_APPKEY_INDEX
    told(one, bindings.ModelAppBind(ADDRESS, 0, ONOFF))
    assert told(one, to_hub) == bindings.PublicationStatus(0, ADDRESS, HUB, Publication(app_key=0, period=2), ONOFF)
    assert told(one, bindings.PublicationGet(ADDRESS, ONOFF)) == told(one, to_hub)
    one.tick(0)
    assert one.tick(0.1) == []
    (said,) = one.tick(0.2)
    assert (said.src, said.dst, said.key) == (ADDRESS, HUB, ByApp(0))
    assert one.next_deadline == pytest.approx(0.4)
    befriended = bindings.PublicationSet(ADDRESS, HUB, Publication(app_key=0, friendship=True), ONOFF)
    assert status(one, befriended) is Status.FEATURE_NOT_SUPPORTED
    virtual = bindings.PublicationSet(ADDRESS, 0x8001, Publication(app_key=0), ONOFF)
    assert status(one, virtual) is Status.INVALID_ADDRESS
    labelled = bindings.PublicationVirtualSet(ADDRESS, b"L" * 16, Publication(app_key=0), ONOFF)
    assert status(one, labelled) is Status.SUCCESS
    assert status(one, bindings.PublicationSet(ADDRESS, 0, Publication(), ONOFF)) is Status.SUCCESS
    assert one.tick(9) == []
    assert one.next_deadline is None
    told(one, to_hub)
    told(one, bindings.ModelAppUnbind(ADDRESS, 0, ONOFF))
    assert one.tick(99) == []


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (settings.BeaconSet(0), settings.BeaconStatus(0)),
        (settings.BeaconGet(), settings.BeaconStatus(1)),
        (settings.DefaultTtlSet(9), settings.DefaultTtlStatus(9)),
        (settings.DefaultTtlGet(), settings.DefaultTtlStatus(7)),
        (settings.FriendSet(1), settings.FriendStatus(2)),
        (settings.GattProxySet(0), settings.GattProxyStatus(0)),
        (settings.RelaySet(1, settings.Retransmit(3, 4)), settings.RelayStatus(1, settings.Retransmit(3, 4))),
        (
            settings.NetworkTransmitSet(settings.Retransmit(3, 4)),
            settings.NetworkTransmitStatus(settings.Retransmit(3, 4)),
        ),
        (
            sar.TransmitterSet(sar.Transmitter(without_progress=9)),
            sar.TransmitterStatus(sar.Transmitter(without_progress=9)),
        ),
        (sar.ReceiverSet(sar.Receiver(acks=3)), sar.ReceiverStatus(sar.Receiver(acks=3))),
        (sar.ReceiverGet(), sar.ReceiverStatus(sar.Receiver())),
        (settings.NodeIdentitySet(0, 1), settings.NodeIdentityStatus(0, 0, 1)),
        (settings.NodeIdentityGet(9), settings.NodeIdentityStatus(Status.INVALID_NETKEY_INDEX, 9, 0)),
        (
            settings.HeartbeatPublicationSet(1, 2, 3, 4, 5, 0),
            settings.HeartbeatPublicationStatus(0, 1, 2, 3, 4, 5, 0),
        ),
        (
            settings.HeartbeatPublicationSet(1, 2, 3, 4, 5, 9),
            settings.HeartbeatPublicationStatus(Status.INVALID_NETKEY_INDEX, 1, 2, 3, 4, 5, 9),
        ),
        (settings.HeartbeatSubscriptionSet(1, 2, 3), settings.HeartbeatSubscriptionStatus(0, 1, 2, 3, 0, 0, 0)),
    ],
)
def test_settings(message: WireMessage, answer: WireMessage) -> None:
    assert told(node(), message) == answer


def test_a_prohibited_ttl_is_ignored_and_a_status_is_not_answered() -> None:
    one = node()
    assert one.configuration.handle(settings.DefaultTtlSet(1).message()) is None
    assert one.configuration.handle(settings.BeaconStatus(1).message()) is None
    assert one.configuration.handle(vendor.message(1, 2, b"")) is None


def test_only_the_nodes_own_device_key_configures_it() -> None:
    one = node()
    payload = settings.NodeReset().message().pack()
    for key, dst in ((ByDevice(HUB), ADDRESS), (ByApp(0), ADDRESS), (ByDevice(ADDRESS), 0xFFFF)):
        heard = Received(src=HUB, dst=dst, payload=payload, key=key, net_index=0, ttl=5)
        assert one.handle(heard, 0) == []
    assert not one.configuration.reset
    heard = Received(src=HUB, dst=ADDRESS, payload=payload, key=ByDevice(ADDRESS), net_index=0, ttl=5)
    assert len(one.handle(heard, 0)) == 1
    assert one.configuration.reset
