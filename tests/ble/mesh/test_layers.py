"""Each layer gives back what it was given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ble.errors import Malformed
from ble.mesh import beacons, crypto, keys, lower, network, proxy, proxy_filter, upper
from ble.mesh.advert_proof import is_of
from ble.mesh.network import NetworkPdu

key = st.binary(min_size=16, max_size=16)
unicast = st.integers(1, 0x7FFF)
iv_index = st.integers(0, 0xFFFFFFFF)


@given(st.sampled_from(proxy.Kind), st.binary(min_size=1, max_size=proxy.MAX_MESSAGE), st.integers(20, 200))
def test_proxy(kind: proxy.Kind, data: bytes, size: int) -> None:
    parts = list(proxy.segments(kind, data, size))
    assert all(len(part) <= size for part in parts)
    reassembly = proxy.Reassembly()
    assert [reassembly.feed(part, 0.0) for part in parts] == [None] * (len(parts) - 1) + [proxy.Whole(kind, data)]
    assert reassembly.deadline is None


@pytest.mark.parametrize(
    ("before", "wrong"),
    [
        (b"", b"\x80x"),
        (b"", b"\xc0x"),
        (b"\x40x", b"\x00y"),
        (b"\x40x", b"\x81y"),
        (b"\x40" + bytes(99), b"\xc0" + bytes(99)),
    ],
)
def test_proxy_segments_out_of_order_or_too_many(before: bytes, wrong: bytes) -> None:
    reassembly = proxy.Reassembly()
    if before:
        reassembly.feed(before, 5.0)
        assert reassembly.deadline == 5.0 + proxy.SAR_TIMEOUT_S
    with pytest.raises(Malformed):
        reassembly.feed(wrong, 5.0)
    assert reassembly.deadline is None


@given(key, iv_index, st.booleans(), st.integers(0, 127), st.integers(0, 0xFFFFFF), unicast, st.data())
def test_network(secret: bytes, index: int, ctl: bool, ttl: int, seq: int, src: int, data: st.DataObject) -> None:
    payload = data.draw(st.binary(min_size=1, max_size=12 if ctl else 16))
    dst, proxied = data.draw(st.integers(0, 0xFFFF)), data.draw(st.booleans())
    pdu = NetworkPdu(ctl=ctl, ttl=ttl, seq=seq, src=src, dst=dst, payload=payload)
    material = keys.flooding(secret)
    sealed = network.seal(pdu, material, index, proxy=proxied)
    others = [keys.flooding(bytes(16)), material]
    opened = network.unseal(sealed, others, index, proxy=proxied)
    assert (opened.pdu, opened.iv_index, opened.material) == (pdu, index, material)
    with pytest.raises(crypto.NotAuthentic):
        network.unseal(sealed, others, index, proxy=not proxied)


@given(st.booleans(), st.integers(0, 0xFFFFFF), st.booleans(), st.data())
def test_segments(ctl: bool, seq: int, szmic: bool, data: st.DataObject) -> None:
    upper_pdu = data.draw(st.binary(min_size=1, max_size=256 if ctl else 384))
    head = data.draw(st.integers(0, 0x7F))
    parts = lower.cut(upper_pdu, ctl=ctl, head=head, szmic=szmic and not ctl, seq=seq)
    assert [lower.read(ctl, lower.pack(part)) for part in parts] == list(parts)
    assert b"".join(part.data for part in parts) == upper_pdu
    assert all(lower.seq_auth(seq + part.number, part.seq_zero) == seq for part in parts)


@given(st.booleans(), st.integers(0, 0x1FFF), st.integers(0, 0xFFFFFFFF))
def test_acknowledgements(for_another: bool, seq_zero: int, block: int) -> None:
    ack = lower.Ack(for_another, seq_zero, block)
    assert lower.read(True, lower.pack(ack)) == ack


def test_too_long_for_32_segments() -> None:
    with pytest.raises(Malformed):
        lower.cut(bytes(385), ctl=False, head=0, szmic=False, seq=0)
    envelope = upper.Envelope(application=True, szmic=True, seq=0, src=1, dst=2, iv_index=0)
    with pytest.raises(Malformed):
        upper.seal(bytes(377), bytes(16), envelope)


@given(key, key, st.binary(min_size=1, max_size=376), st.booleans(), st.booleans(), st.binary(min_size=16, max_size=16))
def test_upper(one: bytes, other: bytes, payload: bytes, szmic: bool, application: bool, label: bytes) -> None:
    envelope = upper.Envelope(application=application, szmic=szmic, seq=9, src=1, dst=0x8001, iv_index=5)
    sealed = upper.seal(payload, one, envelope, label)
    assert upper.unseal(sealed, [other, one], envelope, [b"", label]) == (payload, one, label)


@given(key, st.booleans(), st.booleans(), iv_index, st.binary(min_size=13, max_size=13))
def test_beacons(secret: bytes, refresh: bool, updating: bool, index: int, random: bytes) -> None:
    beacon = beacons.NetworkBeacon(refresh, updating, index)
    assert beacons.read_network(beacon.secure(secret), secret) == beacon
    assert beacons.read_network(beacon.private(secret, random), secret) == beacon
    for wire in (beacon.secure(secret), beacon.private(secret, random)):
        with pytest.raises(crypto.NotAuthentic):
            beacons.read_network(wire[:-1] + bytes((wire[-1] ^ 1,)), secret)


@given(st.binary(min_size=16, max_size=16), st.integers(0, 0xFFFF), st.none() | st.binary(max_size=50))
def test_unprovisioned_beacons(uuid: bytes, oob: int, uri: bytes | None) -> None:
    beacon = beacons.Unprovisioned(uuid, oob, b"" if uri is None else beacons.uri_hash(uri))
    assert beacons.read_unprovisioned(beacon.pack()) == beacon


@given(st.sets(st.integers(0, 0xFFFF), max_size=40))
def test_filter_additions(addresses: set[int]) -> None:
    messages = [proxy_filter.read(proxy_filter.pack(message)) for message in proxy_filter.additions(addresses)]
    assert all(isinstance(message, proxy_filter.Add) and len(message.addresses) <= 5 for message in messages)
    said = [address for message in messages if isinstance(message, proxy_filter.Add) for address in message.addresses]
    assert said == sorted(addresses)


@given(key, unicast, st.binary(min_size=8, max_size=8))
def test_proxy_adverts_of_a_network(secret: bytes, address: int, random: bytes) -> None:
    identity = crypto.identity_key(secret)
    said = address.to_bytes(2, "big")
    adverts = [
        b"\x00" + keys.network_id(secret),
        b"\x01" + crypto.e(identity, bytes(6) + random + said)[8:] + random,
        b"\x02" + crypto.e(identity, keys.network_id(secret) + random)[8:] + random,
        b"\x03" + crypto.e(identity, bytes(5) + b"\x03" + random + said)[8:] + random,
    ]
    assert all(is_of(advert, secret, [1, address]) for advert in adverts)
    other = bytes((secret[0] ^ 1,)) + secret[1:]
    assert not any(is_of(advert, other, [1, address]) for advert in adverts)
    assert [is_of(advert, secret, []) for advert in adverts] == [True, False, True, False]


def test_s2_and_k5_are_what_their_parts_say() -> None:
    salt = crypto.s2(b"test")
    assert salt == crypto.hmac_sha256(bytes(32), b"test")
    assert len(crypto.k5(bytes(32), salt, b"prdk")) == 32
