"""The configuration messages: the published and recorded octets, there and back, and what nobody meant."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ble.errors import Malformed
from ble.mesh import access
from ble.mesh.config import bindings, composition, keys, messages, sar, settings
from ble.mesh.config.indexes import KeyPair
from ble.mesh.config.refused import ConfigRefused, Status, check
from ble.mesh.model_id import ModelId, from_text
from ble.mesh.wire import WireMessage
from tests.ble.mesh.prov_fuzzing import ROUNDS, fuzz
from tests.ble.mesh.vectors import recorded, vector

ONOFF = ModelId(0x1000)
KEY = bytes.fromhex("63964771734fbd76e3b40519d1d94a48")


def parsed(payload: bytes) -> WireMessage | None:
    return messages.read(access.unpack(payload))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("8.3.6", keys.AppKeyAdd(KeyPair(0x456, 0x123), KEY)),
        ("8.3.16", keys.AppKeyStatus(Status.SUCCESS, KeyPair(0x456, 0x123))),
    ],
)
def test_the_published_messages(section: str, message: WireMessage) -> None:
    payload = bytes.fromhex(vector(section)[0]["access_payload"])
    assert message.message().pack() == payload
    assert parsed(payload) == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("appkey_status", keys.AppKeyStatus(0, KeyPair(0, 0))),
        ("model_app_status", bindings.ModelAppStatus(0, 0x0100, 0, ONOFF)),
        ("model_app_status_bad_appkey_index", bindings.ModelAppStatus(3, 0x0100, 9, ONOFF)),
        ("model_subscription_status", bindings.SubscriptionStatus(0, 0x0100, 0xC001, ONOFF)),
        (
            "model_publication_status",
            bindings.PublicationStatus(0, 0x0100, 0x0001, bindings.Publication(app_key=0, ttl=5), ONOFF),
        ),
        ("beacon_status", settings.BeaconStatus(1)),
        ("relay_status", settings.RelayStatus(0, settings.Retransmit(7, 30))),
    ],
)
def test_what_bluez_answered_is_read_and_written_the_same(name: str, message: WireMessage) -> None:
    payload = recorded("bluez_meshd_5.66", name)
    if name == "model_publication_status":
        found = parsed(payload)
        assert isinstance(found, bindings.PublicationStatus)
        assert (found.status, found.element, found.address, found.model) == (0, 0x0100, 1, ONOFF)
        assert found.message().pack() == payload
    else:
        assert parsed(payload) == message
        assert message.message().pack() == payload


def test_the_published_composition() -> None:
    """MshPRT 1.1, 8.10.1."""
    page = bytes.fromhex(vector("8.10.1")[0]["page0"])
    found = composition.unpack(page)
    assert (found.company, found.product, found.version, found.replay_list) == (0x000C, 0x001A, 0x0001, 0x0008)
    assert found.features == composition.Features.RELAY | composition.Features.PROXY
    (element,) = found.elements
    assert element.location == 0x0100
    assert [model.text for model in element.models] == ["0000", "8000", "0001", "1000", "1003", "003F002A"]
    assert found.pack() == page


@pytest.mark.parametrize(("peer", "elements"), [("bluez_meshd_5.66", 1), ("btstack_2026_06", 1)])
def test_what_others_are_made_of(peer: str, elements: int) -> None:
    status = parsed(recorded(peer, "composition_status"))
    assert isinstance(status, settings.CompositionDataStatus)
    assert status.page == 0
    found = composition.unpack(status.data)
    assert len(found.elements) == elements
    assert ONOFF in found.elements[0].models
    assert found.pack() == status.data


u8, u16, index = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFF)
nibble = st.integers(0, 15)
models = st.builds(ModelId, u16) | st.builds(ModelId, u16, u16)
key = st.binary(min_size=16, max_size=16)
pair = st.builds(KeyPair, index, index)
retransmit = st.builds(settings.Retransmit, st.integers(0, 7), st.integers(0, 31))
publication = st.builds(bindings.Publication, app_key=index, friendship=st.booleans(), ttl=u8, period=u8, retransmit=u8)
indexes = st.lists(index, max_size=9).map(tuple)


@given(
    st.one_of(
        st.builds(keys.AppKeyAdd, pair, key),
        st.builds(keys.AppKeyList, u8, index, indexes),
        st.builds(keys.NetKeyList, indexes),
        st.builds(keys.KeyRefreshPhaseSet, index, u8),
        st.builds(bindings.PublicationSet, u16, u16, publication, models),
        st.builds(bindings.PublicationVirtualSet, u16, key, publication, models),
        st.builds(bindings.SubscriptionVirtualAdd, u16, key, models),
        st.builds(bindings.ModelAppBind, u16, index, models),
        st.builds(bindings.SubscriptionOverwrite, u16, u16, models),
        st.builds(bindings.VendorModelAppList, u8, u16, st.builds(ModelId, u16, u16), indexes),
        st.builds(bindings.SigSubscriptionList, u8, u16, st.builds(ModelId, u16), st.lists(u16, max_size=9).map(tuple)),
        st.builds(settings.RelaySet, st.integers(0, 1), retransmit),
        st.builds(settings.NetworkTransmitStatus, retransmit),
        st.builds(settings.HeartbeatPublicationSet, u16, u8, u8, u8, u16, index),
        st.builds(
            sar.TransmitterStatus, st.builds(sar.Transmitter, segment_interval=nibble, multicast_interval=nibble)
        ),
        st.builds(sar.ReceiverSet, st.builds(sar.Receiver, threshold=st.integers(0, 31), discard=nibble)),
        st.builds(settings.CompositionDataStatus, u8, st.binary(max_size=40)),
    )
)
def test_what_is_packed_is_read(message: WireMessage) -> None:
    assert parsed(message.message().pack()) == message


def _sig_first(found: list[ModelId]) -> tuple[ModelId, ...]:
    """As a composition orders them."""
    return tuple(sorted(found, key=lambda model: model.company is not None))


elements = st.builds(composition.Element, u16, st.lists(models, max_size=6).map(_sig_first))


@given(
    st.builds(
        composition.Composition,
        company=u16,
        product=u16,
        version=u16,
        replay_list=u16,
        features=u16,
        elements=st.lists(elements, min_size=1, max_size=4).map(tuple),
    )
)
def test_a_composition_is_read_as_it_was_packed(made: composition.Composition) -> None:
    assert composition.unpack(made.pack()) == made


@given(models)
def test_a_model_is_read_back_from_its_text(model: ModelId) -> None:
    assert from_text(model.text) == model


@pytest.mark.parametrize("text", ["", "10", "100G", "003F002A0", "+100"])
def test_no_model_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        from_text(text)


@pytest.mark.parametrize(
    "message",
    [
        keys.AppKeyAdd(KeyPair(0x1000, 0), KEY),
        keys.AppKeyAdd(KeyPair(0, 0), KEY[:15]),
        keys.NetKeyDelete(0x1000),
        bindings.PublicationSet(1, 0xC000, bindings.Publication(app_key=0x1000), ONOFF),
        settings.BeaconSet(2),
        settings.RelaySet(0, settings.Retransmit(8, 0)),
        settings.DefaultTtlSet(256),
        sar.TransmitterSet(sar.Transmitter(segment_interval=16)),
        sar.ReceiverSet(sar.Receiver(threshold=-1)),
    ],
)
def test_what_does_not_fit_is_not_sent(message: WireMessage) -> None:
    with pytest.raises(Malformed):
        message.message()


def test_each_status_has_a_code_of_its_own() -> None:
    check(Status.SUCCESS)
    codes = set()
    for status in range(1, 0x13):
        with pytest.raises(ConfigRefused) as refused:
            check(status)
        codes.add(refused.value.code)
    assert len(codes) == 0x12
    assert {"config_invalid_appkey_index", "config_status_12"} <= codes


HONEST: list[bytes] = [
    recorded("bluez_meshd_5.66", name)
    for name in ("composition_status", "appkey_status", "model_app_status", "model_publication_status", "relay_status")
]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_config_fuzzed(rounds: int) -> None:
    def parse(payload: bytes) -> Any:
        found = parsed(payload)
        if isinstance(found, settings.CompositionDataStatus):
            composition.unpack(found.data)

    assert fuzz("config", parse, HONEST, rounds) > 0


@pytest.mark.parametrize("rounds", ROUNDS)
def test_access_fuzzed(rounds: int) -> None:
    assert fuzz("access", access.unpack, HONEST, rounds, most=400) > 0
