"""Proofs of a key and the challenges they answer, without a hub around them."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.challenges import CHALLENGE_MS, ChallengeOver, Challenges
from app.accounts.proofs import NONCE_SIZE, ProofWrong, Purpose, ends_at, prove, verify
from app.errors import TooMany

PRIVATE = bytes(range(32))
PUBLIC = Ed25519PrivateKey.from_private_bytes(PRIVATE).public_key().public_bytes_raw()
HUB = "h-mnb4q6tz2kd7xw5yc3fjvrga"
NONCE = bytes(range(100, 100 + NONCE_SIZE))
PROOF = prove(PRIVATE, purpose=Purpose.LINK, audience=HUB, nonce=NONCE)


def octets(proof: str) -> bytes:
    """A proof as it was before it was written in letters."""
    return base64.urlsafe_b64decode(proof + "==")


def letters(proof: bytes) -> str:
    """And back."""
    return base64.urlsafe_b64encode(proof).rstrip(b"=").decode()


def test_a_proof_is_what_its_format_says() -> None:
    parts = (b"Doorstep proof of a key", b"\x01", b"link", HUB.encode(), NONCE, PUBLIC)
    text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    signature = Ed25519PrivateKey.from_private_bytes(PRIVATE).sign(text)
    assert octets(PROOF) == b"\x01\x02" + NONCE + signature
    assert len(PROOF) == 142
    assert verify(PROOF, PUBLIC, purpose=Purpose.LINK, audience=HUB) == NONCE


def test_it_is_of_one_key_one_purpose_and_one_audience() -> None:
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    for key, purpose, audience in (
        (other, Purpose.LINK, HUB),
        (PUBLIC, Purpose.SIGN_IN, HUB),
        (PUBLIC, Purpose.LINK, HUB.replace("m", "n", 1)),
        (PUBLIC[:-1], Purpose.LINK, HUB),
        (bytes(32), Purpose.LINK, HUB),
    ):
        with pytest.raises(ProofWrong):
            verify(PROOF, key, purpose=purpose, audience=audience)


@given(bit=st.integers(0, 8 * len(octets(PROOF)) - 1))
def test_a_bit_that_is_another_makes_it_none(bit: int) -> None:
    changed = bytearray(octets(PROOF))
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProofWrong):
        verify(letters(bytes(changed)), PUBLIC, purpose=Purpose.LINK, audience=HUB)


def test_the_purpose_it_names_is_signed_too() -> None:
    renamed = bytearray(octets(PROOF))
    renamed[1] = 1
    with pytest.raises(ProofWrong):
        verify(letters(bytes(renamed)), PUBLIC, purpose=Purpose.SIGN_IN, audience=HUB)


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(letters)))
def test_what_is_no_proof_is_told_so(text: str) -> None:
    with pytest.raises(ProofWrong):
        verify(text, PUBLIC, purpose=Purpose.LINK, audience=HUB)


def test_a_challenge_is_answered_once_and_in_time() -> None:
    challenges = Challenges()
    one, two = challenges.new(1_000), challenges.new(1_000)
    assert ends_at(one) == 1_000 + CHALLENGE_MS
    challenges.spend(one, 2_000)
    with pytest.raises(ChallengeOver):
        challenges.spend(one, 2_000)
    challenges.check(two, 1_000 + CHALLENGE_MS - 1)
    with pytest.raises(ChallengeOver):
        challenges.spend(two, 1_000 + CHALLENGE_MS)


@given(bit=st.integers(0, 8 * NONCE_SIZE - 1))
def test_only_this_process_makes_its_challenges(bit: int) -> None:
    challenges = Challenges()
    nonce = bytearray(challenges.new(1_000))
    nonce[bit // 8] ^= 1 << bit % 8
    for forged in (bytes(nonce), Challenges().new(1_000), b""):
        with pytest.raises(ChallengeOver):
            challenges.spend(forged, 1_000)


def test_asking_for_challenges_takes_no_room_and_nobody_elses() -> None:
    challenges = Challenges()
    mine = challenges.new(0)
    for _ in range(50_000):
        challenges.new(0)
    assert len(challenges) == 0
    challenges.spend(mine, 1)
    assert len(challenges) == 1


def test_what_was_used_is_forgotten_once_it_has_ended_and_stays_ended() -> None:
    challenges = Challenges(most=2)
    first = challenges.new(0)
    challenges.spend(first, 0)
    challenges.spend(challenges.new(10), 10)
    with pytest.raises(TooMany):
        challenges.spend(challenges.new(20), 20)
    challenges.spend(challenges.new(CHALLENGE_MS), CHALLENGE_MS)
    assert len(challenges) == 2
    with pytest.raises(ChallengeOver):  # the clock was set back, and what was used is forgotten
        challenges.spend(first, 1)
