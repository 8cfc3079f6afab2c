"""Sealing and wrapping open for whom they are meant, in their home and at their place, and for nothing else."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from app.sync.sealing import crypto
from app.sync.sealing.crypto import SealBroken
from app.sync.sealing.model import HomeKey, Recipient, recipients, sealed_by, sealed_of, wrapped_for, wrapped_of

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))
HOME = "01900000-0000-7000-8000-000000000001"
PLACE = "wifi_network/01900000-0000-7000-8000-000000000002"
PRIVATE = X25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
# Made once by this program, and so held to: a hub of another version opens what this one sealed.
SEALED = "01f1061e4dc2b5e6519e27821f68910b9bd2e3e92be83fd874e2bc6f73ed1670c1b923c16750faf4321c"
MAC = "1ab67d6483c1468aabb17c323c309eed6c0c428361f93e4d445cc379d4c90f8c"
WRAPPED = (
    "0157986c95c1b6a55b1bd16de177edfcafb9226ea474804e57b56b322f02f84e05227e65f126d45abe7178822998db84e89d"
    "ba52e4ce39ecbbb7c57b4a845c2175cbd280dffc9ccc770341300d3ac85f68"
)


def test_what_was_sealed_once_opens_for_ever() -> None:
    assert crypto.seal(KEY, HOME, PLACE, b"correct horse").hex() == SEALED
    assert crypto.open_(KEY, HOME, PLACE, bytes.fromhex(SEALED)) == b"correct horse"
    assert crypto.mac(KEY, HOME, PLACE, b"correct horse").hex() == MAC
    assert crypto.unwrap(bytes.fromhex(WRAPPED), HOME, "key-1", "hub/h-1", PRIVATE) == KEY


@given(key=st.binary(min_size=32, max_size=32), home=st.text(), place=st.text(), secret=st.binary(max_size=300))
def test_what_is_sealed_opens_again(key: bytes, home: str, place: str, secret: bytes) -> None:
    sealed = crypto.seal(key, home, place, secret)
    assert crypto.open_(key, home, place, sealed) == secret
    assert sealed == crypto.seal(key, home, place, secret)


@given(one=st.binary(max_size=40), other=st.binary(max_size=40))
def test_no_nonce_is_of_two_texts(one: bytes, other: bytes) -> None:
    """Two secrets, or one at two places: only where both are the same is the nonce."""
    nonces = {
        crypto.seal(KEY, HOME, place, secret)[1:13]: (place, secret) for place in ("a", "b") for secret in (one, other)
    }
    assert set(nonces.values()) == {(place, secret) for place in ("a", "b") for secret in (one, other)}


@pytest.mark.parametrize(
    ("key", "home", "place"), [(OTHER, HOME, PLACE), (KEY, "other", PLACE), (KEY, HOME, "wifi_network/other")]
)
def test_it_opens_nowhere_else(key: bytes, home: str, place: str) -> None:
    with pytest.raises(SealBroken):
        crypto.open_(key, home, place, bytes.fromhex(SEALED))
    assert crypto.mac(key, home, place, b"correct horse").hex() != MAC


def test_what_stands_beside_each_other_is_not_mistaken() -> None:
    """Where one ends and the next begins is part of what is bound."""
    sealed = crypto.seal(KEY, "ab", "c", b"x")
    with pytest.raises(SealBroken):
        crypto.open_(KEY, "a", "bc", sealed)
    assert crypto.mac(KEY, HOME, "ab", b"c") != crypto.mac(KEY, HOME, "a", b"bc")


@pytest.mark.parametrize("bit", range(8))
def test_any_bit_that_is_another_is_noticed(bit: int) -> None:
    sealed, wrapped = bytes.fromhex(SEALED), bytes.fromhex(WRAPPED)
    for at in range(len(sealed)):
        with pytest.raises(SealBroken):
            crypto.open_(KEY, HOME, PLACE, _flipped(sealed, at, bit))
    for at in range(len(wrapped)):
        if (at, bit) == (crypto.KEY_BYTES, 7):
            continue  # X25519 takes no notice of the last bit of a public key; what is derived names it all the same
        with pytest.raises(SealBroken):
            crypto.unwrap(_flipped(wrapped, at, bit), HOME, "key-1", "hub/h-1", PRIVATE)


@given(st.binary(max_size=120))
def test_rubbish_opens_not(rubbish: bytes) -> None:
    with pytest.raises(SealBroken):
        crypto.open_(KEY, HOME, PLACE, rubbish)
    with pytest.raises(SealBroken):
        crypto.unwrap(rubbish, HOME, "key-1", "hub/h-1", PRIVATE)


@pytest.mark.parametrize(
    ("home", "key_id", "recipient", "private"),
    [
        ("other", "key-1", "hub/h-1", PRIVATE),
        (HOME, "key-2", "hub/h-1", PRIVATE),
        (HOME, "key-1", "hub/h-2", PRIVATE),
        (HOME, "key-1", "hub/h-1", X25519PrivateKey.from_private_bytes(KEY)),
    ],
)
def test_a_wrapped_key_is_one_recipients(home: str, key_id: str, recipient: str, private: X25519PrivateKey) -> None:
    with pytest.raises(SealBroken):
        crypto.unwrap(bytes.fromhex(WRAPPED), home, key_id, recipient, private)


def test_a_key_that_everybody_shares_is_not_wrapped_for() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the library says it in its own words
        crypto.wrap(KEY, HOME, "key-1", "hub/h-1", bytes(32))
    low = b"\x01" + bytes(32) + bytes(48)
    with pytest.raises(SealBroken):
        crypto.unwrap(low, HOME, "key-1", "hub/h-1", PRIVATE)


def test_only_what_the_key_vouches_for_is_a_recipient() -> None:
    key = HomeKey(1, "key-1", KEY)
    phone = Recipient("phone/p-1", PUBLIC, "a" * 64, "h-1")
    good = wrapped_for(key, HOME, phone)
    forged = wrapped_for(HomeKey(1, "key-1", OTHER), HOME, phone)
    fields = {"number": 1, "to/phone/p-1": good, "to/phone/p-2": good, "to/hub/h-9": forged, "to/x": "?", "to/y": 7}
    assert list(recipients(key, HOME, fields)) == [phone]
    assert list(recipients(key, "other home", fields)) == []
    assert "KEY" not in repr(key)
    assert KEY.hex() not in repr(key)


@given(st.text(max_size=60))
def test_hostile_fields_are_nothing(text: str) -> None:
    assert wrapped_of(text) is None
    assert sealed_of(text) is None


@given(secret=st.binary(max_size=64), again=st.booleans())
def test_a_field_says_what_it_was_made_of(secret: bytes, again: bool) -> None:
    key = HomeKey(1, "key-1", KEY)
    made = sealed_by(key, HOME, PLACE, secret, again=again)
    assert sealed_of(made.text()) == made
    assert made.opened(key, HOME, PLACE) == secret
    assert made.is_of(key, HOME, PLACE, secret)
    assert not made.is_of(key, HOME, PLACE, secret + b"x")
    assert not made.is_of(HomeKey(2, "key-2", OTHER), HOME, PLACE, secret)


def _flipped(octets: bytes, at: int, bit: int) -> bytes:
    return octets[:at] + bytes([octets[at] ^ (1 << bit)]) + octets[at + 1 :]
