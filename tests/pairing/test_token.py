"""The session's token and the hint by which a device says that it was given it."""

import secrets

from hypothesis import given
from hypothesis import strategies as st

from pairing.token import TOKEN_SIZE, hint_of, make_token, was_given
from tests.pairing.stage import seeded

DEVICE = "d-" + "a" * 24


def test_a_token_is_fourteen_letters_and_digits_and_never_the_same() -> None:
    tokens = {make_token(secrets.token_bytes) for _ in range(200)}
    assert len(tokens) == 200
    assert all(len(token) == TOKEN_SIZE and token.isalnum() and token.startswith(b"DS") for token in tokens)


def test_the_same_chance_gives_the_same_token() -> None:
    assert make_token(seeded(7)) == make_token(seeded(7))


def test_the_hint_is_fixed_by_the_protocol() -> None:
    assert hint_of(b"DSabcdefghijkm", DEVICE) == "542f35d58a6b127a"


@given(st.binary(min_size=1, max_size=20), st.binary(min_size=1, max_size=20))
def test_only_who_was_given_the_token_is_recognised(token: bytes, other: bytes) -> None:
    hint = hint_of(token, DEVICE)
    assert was_given(hint, token, DEVICE)
    assert was_given(hint, other, DEVICE) is (other.rstrip(b"\0") == token.rstrip(b"\0"))
    assert not was_given(hint, token, "d-" + "b" * 24)


def test_no_hint_is_no_token() -> None:
    assert not was_given("", b"", DEVICE)
