"""SPAKE2+ against RFC 9383, Appendix C, and what must not pass."""

import json
from pathlib import Path

import pytest

from pairing.errors import ProofFailedError
from pairing.spake2plus import (
    Parties,
    Prover,
    Record,
    Secret,
    Verifier,
    decode_point,
    derive,
    random_scalar,
    register,
)

RFC = json.loads((Path(__file__).parents[2] / "fixtures/pairing/spake2plus.json").read_text())
PARTIES = Parties(RFC["context"].encode(), RFC["prover"].encode(), RFC["verifier"].encode())
SECRET = Secret(int(RFC["w0"], 16), int(RFC["w1"], 16))


def test_rfc_9383_appendix_c() -> None:
    record = register(SECRET)
    assert record.point.hex() == RFC["L"]
    prover = Prover(PARTIES, SECRET, int(RFC["x"], 16))
    verifier = Verifier(PARTIES, record, int(RFC["y"], 16))
    assert (prover.share.hex(), verifier.share.hex()) == (RFC["shareP"], RFC["shareV"])
    keys = prover.finish(verifier.share)
    assert keys == verifier.finish(prover.share)
    assert keys.confirm_prover.hex() == RFC["confirmP"]
    assert keys.confirm_verifier.hex() == RFC["confirmV"]
    assert keys.shared.hex() == RFC["K_shared"]


@pytest.mark.parametrize("other", ["pin", "salt", "context", "prover", "verifier"])
def test_whatever_differs_the_keys_differ(other: str) -> None:
    pin, salt = ("12345679" if other == "pin" else "12345678"), (b"t" if other == "salt" else b"s") * 16
    prover = Prover(Parties(b"c", b"p", b"v"), derive("12345678", b"s" * 16), 5)
    names = [b"x" if other == name else name[:1].encode() for name in ("context", "prover", "verifier")]
    verifier = Verifier(Parties(*names), register(derive(pin, salt)), 7)
    ours, theirs = prover.finish(verifier.share), verifier.finish(prover.share)
    assert ours.confirm_prover != theirs.confirm_prover
    assert ours.confirm_verifier != theirs.confirm_verifier
    assert ours.shared != theirs.shared


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes(65),
        b"\x04" + bytes(64),
        b"\x04" + b"\xff" * 64,
        b"\x04" + bytes(63) + b"\x01",
        bytes.fromhex(RFC["L"])[:-1],
        b"\x02" + bytes.fromhex(RFC["L"])[1:33],
        bytes.fromhex(RFC["L"])[:-1] + b"\x00",
    ],
    ids=lambda raw: f"{len(raw)}:{raw[:1].hex()}",
)
def test_what_is_no_point_is_refused(raw: bytes) -> None:
    with pytest.raises(ProofFailedError):
        decode_point(raw)


def test_a_share_that_cancels_the_mask_is_refused() -> None:
    # X = w0*M leaves Z at infinity whatever y is (RFC 9383, section 6).
    only_mask = Verifier(PARTIES, Record(SECRET.w0, bytes.fromhex(RFC["L"])), 7)
    mask = Prover(PARTIES, SECRET, 0)
    with pytest.raises(ProofFailedError):
        only_mask.finish(mask.share)


def test_scalars_are_never_zero() -> None:
    assert random_scalar(bytes) == 1
    assert random_scalar(lambda n: b"\xff" * n) > 1


def test_nothing_secret_is_in_a_repr() -> None:
    secret = derive("12345678", b"s" * 16)
    assert "w0=" not in repr(secret) + repr(register(secret)) + repr(
        Prover(PARTIES, secret, 3).finish(bytes.fromhex(RFC["L"]))
    )
