"""Every vector of the layers from the toolbox to the upper transport, at the layer it belongs to."""

from typing import Any

import pytest

from ble.mesh import beacons, crypto, keys, lower, network, proxy, proxy_filter, upper
from ble.mesh.advert_proof import node_identity_hash
from ble.mesh.keys import Material
from ble.mesh.network import NetworkPdu
from tests.ble.mesh.vectors import count, messages, octets, vector


def test_toolbox() -> None:
    assert crypto.s1(b"test") == octets(vector("8.1.1")[1]["salt"])
    given, out = vector("8.1.2")
    salt = crypto.s1(given["salt_ascii_through_s1"].encode())
    assert salt == octets(given["salt"])
    assert crypto.k1(octets(given["N"]), salt, octets(given["P"])) == octets(out["k1"])
    assert crypto.s1(b"info") == octets(given["P"])
    given, out = vector("8.1.5")
    assert crypto.k3(octets(given["N"])) == octets(out["k3"])
    given, out = vector("8.1.6")
    assert crypto.k4(octets(given["N"])) == int(out["k4"], 16)
    given, out = vector("8.2.1")
    assert keys.aid(octets(given["app_key"])) == int(out["aid"], 16)


@pytest.mark.parametrize("section", ["8.1.3", "8.1.4", "8.2.2", "8.2.3"])
def test_network_material(section: str) -> None:
    given, out = vector(section)
    nid, encryption, privacy = crypto.k2(octets(given["N"]), octets(given["P"]))
    assert (nid, encryption, privacy) == (
        int(out["nid"], 16),
        octets(out["encryption_key"]),
        octets(out["privacy_key"]),
    )


def test_friendship_purpose() -> None:
    assert crypto.friendship_purpose(0x1201, 0x2345, 0, 0x072F) == octets(vector("8.2.3")[0]["P"])


def test_other_derivations() -> None:
    given, out = vector("8.2.4")
    assert keys.network_id(octets(given["net_key"])) == octets(out["network_id"])
    assert crypto.identity_key(octets(given["net_key"])) == octets(vector("8.2.5")[1]["identity_key"])
    assert crypto.beacon_key(octets(given["net_key"])) == octets(vector("8.2.6")[1]["beacon_key"])
    given, out = vector("-", "other derivations")
    derived = [f(octets(given["net_key"])) for f in (crypto.identity_key, crypto.beacon_key, crypto.private_beacon_key)]
    assert [d.hex() for d in derived] == [out["identity_key"], out["beacon_key"], out["private_beacon_key"]]


def test_virtual_addresses() -> None:
    given, out = vector("8.3.22/23")
    assert [f"{crypto.virtual_address(octets(label)):04x}" for label in given["labels"]] == out["addresses"]
    given, out = vector("-", "virtual address")
    assert crypto.virtual_address(octets(given["label"])) == int(out["address"], 16)


def test_ccm() -> None:
    given, out = vector("-", "AES-CCM")
    key, nonce, data, aad = (octets(given[name]) for name in ("key", "nonce", "data", "aad"))
    for name, mic_size, with_aad in (("mic4", 4, b""), ("mic8", 8, b""), ("mic4_aad", 4, aad), ("mic8_aad", 8, aad)):
        assert crypto.ccm_seal(key, nonce, data, mic_size=mic_size, aad=with_aad) == octets(out[name])
        assert crypto.ccm_open(key, nonce, octets(out[name]), mic_size=mic_size, aad=with_aad) == data


FRIEND = octets(vector("8.2.3")[0]["P"])


def _material(given: dict[str, Any]) -> Material:
    purpose = FRIEND if given["material"] == "friend" else b"\x00"
    return Material(*crypto.k2(octets(given["net_key"]), purpose))


@pytest.mark.parametrize("entry", messages(), ids=lambda entry: entry["name"])
def test_network_layer(entry: dict[str, Any]) -> None:
    given, out = entry["in"], entry["out"]
    material, iv_index = _material(given), int(given["iv_index"], 16)
    for seq, lower_pdu, network_pdu in zip(given["seq"], out["lower_transport_pdus"], out["network_pdus"], strict=True):
        pdu = NetworkPdu(
            ctl=bool(given["ctl"]),
            ttl=given["ttl"],
            seq=int(seq, 16),
            src=int(given["src"], 16),
            dst=int(given["dst"], 16),
            payload=octets(lower_pdu),
        )
        assert network.seal(pdu, material, iv_index) == octets(network_pdu)
        for heard_at in (iv_index, iv_index + 1):
            opened = network.unseal(octets(network_pdu), [material], heard_at)
            assert (opened.pdu, opened.iv_index) == (pdu, iv_index)
        with pytest.raises(crypto.NotAuthentic):
            network.unseal(octets(network_pdu), [material], iv_index + 2)


SEALED = [entry for entry in messages() if "access_payload" in entry["in"]]


@pytest.mark.parametrize("entry", SEALED, ids=lambda entry: entry["name"])
def test_transport_layers(entry: dict[str, Any]) -> None:
    given = entry["in"]
    kind, _, key = given["key"].partition(" ")
    seq = int(given["seq"][0], 16)
    envelope = upper.Envelope(
        application=kind == "AppKey",
        szmic=bool(given["szmic"]),
        seq=seq,
        src=int(given["src"], 16),
        dst=int(given["dst"], 16),
        iv_index=int(given["iv_index"], 16),
    )
    label = octets(given.get("label_uuid", ""))
    sealed = upper.seal(octets(given["access_payload"]), octets(key), envelope, label)
    akf, aid = envelope.application, keys.aid(octets(key)) if envelope.application else 0
    if len(given["seq"]) == 1:
        pdus: list[lower.LowerPdu] = [lower.Access(akf, aid, sealed)]
    else:
        pdus = [*lower.cut(sealed, ctl=False, head=akf << 6 | aid, szmic=envelope.szmic, seq=seq)]
    wire = [octets(pdu) for pdu in entry["out"]["lower_transport_pdus"]]
    assert [lower.pack(pdu) for pdu in pdus] == wire
    assert [lower.read(False, octet) for octet in wire] == pdus
    assert upper.unseal(sealed, [bytes(16), octets(key)], envelope, [label])[0] == octets(given["access_payload"])


@pytest.mark.parametrize(("name", "block"), [("Message #7", 2), ("Message #9", 3)])
def test_segment_acknowledgements(name: str, block: int) -> None:
    (entry,) = [entry for entry in messages() if entry["name"] == name]
    wire = octets(entry["out"]["lower_transport_pdus"][0])
    ack = lower.read(True, wire)
    assert ack == lower.Ack(True, 0x3129AB & 0x1FFF, block)
    assert lower.pack(ack) == wire


def test_a_retransmitted_segment_belongs_to_the_same_message() -> None:
    (entry,) = [entry for entry in messages() if entry["name"] == "Message #8"]
    segment = lower.read(False, octets(entry["out"]["lower_transport_pdus"][0]))
    assert isinstance(segment, lower.Segment)
    assert lower.seq_auth(int(entry["in"]["seq"][0], 16), segment.seq_zero) == 0x3129AB


@pytest.mark.parametrize("section", ["8.4.3", "8.4.x"])
def test_secure_network_beacons(section: str) -> None:
    given, out = vector(section)
    key, wire = octets(given["net_key"]), octets(out["beacon"])
    beacon = beacons.read_network(wire, key)
    assert (beacon.flags, beacon.iv_index) == (int(given["flags"], 16), int(given["iv_index"], 16))
    assert beacon.secure(key) == wire


@pytest.mark.parametrize("section", ["8.4.6.1", "8.4.6.2"])
def test_private_beacons(section: str) -> None:
    given, out = vector(section)
    key, wire = octets(given["net_key"]), octets(out["beacon"])
    beacon = beacons.read_network(wire, key)
    assert (beacon.flags, beacon.iv_index) == (int(given["flags"], 16), int(given["iv_index"], 16))
    assert beacon.private(key, octets(given["random"])) == wire


def test_node_identity() -> None:
    given, out = vector("8.6.2")
    key, random, address = octets(given["net_key"]), octets(given["random"]), int(given["address"], 16)
    assert node_identity_hash(key, random, address) == octets(out["hash"])


def test_proxy_segments() -> None:
    given, out = vector("8.8")
    data = octets(given["pdu"])[0:]
    wire = [octets(pdu) for pdu in out["proxy_pdus"]]
    assert list(proxy.segments(proxy.Kind.PROVISIONING, data, given["att_mtu"] - 3)) == wire
    reassembly = proxy.Reassembly()
    assert [reassembly.feed(pdu, 0.0) for pdu in wire] == [None] * 3 + [proxy.Whole(proxy.Kind.PROVISIONING, data)]


@pytest.mark.parametrize("section", ["8.9.1", "8.9.2", "8.9.3"])
def test_proxy_configuration(section: str) -> None:
    given, out = vector(section)
    payload = octets(given["transport_pdu"])
    pdu = NetworkPdu(
        ctl=True,
        ttl=given["ttl"],
        seq=int(given["seq"], 16),
        src=int(given["src"], 16),
        dst=int(given["dst"], 16),
        payload=payload,
    )
    material, iv_index = keys.flooding(octets(given["net_key"])), int(given["iv_index"], 16)
    wire = octets(out["proxy_pdu"])
    sealed = network.seal(pdu, material, iv_index, proxy=True)
    assert list(proxy.segments(proxy.Kind.CONFIGURATION, sealed, 60)) == [wire]
    assert network.unseal(wire[1:], [material], iv_index, proxy=True).pdu == pdu
    assert proxy_filter.pack(proxy_filter.read(payload)) == payload


def test_recorded_from_peers() -> None:
    assert proxy_filter.read(octets("03000000")) == proxy_filter.Status(proxy_filter.FilterType.ACCEPT, 0)
    beacon = beacons.read_unprovisioned(octets("0020fccfe8ea6d4349991841dbce9c223a0000"))
    assert beacon == beacons.Unprovisioned(octets("20fccfe8ea6d4349991841dbce9c223a"), 0)
    assert beacon.pack() == octets("0020fccfe8ea6d4349991841dbce9c223a0000")


def test_there_are_fifty_three() -> None:
    """The rest are in test_prov_talks (8.7, 8.17), test_pb_adv (8.7) and test_config_messages (8.10)."""
    assert count() == 53
