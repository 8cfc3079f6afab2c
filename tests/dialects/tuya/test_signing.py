"""Every worked example verifies, in each form that clients are known to send; nothing else does."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from app.dialects.tuya.signing import EMPTY, MAX_FORMS, Request, signed_by, strings_to_sign
from tests.dialects.tuya.signer import sign

VECTORS = json.loads((Path(__file__).parents[3] / "fixtures/tuya/catalogue.json").read_text())["signing"]["vectors"]
FIRST = VECTORS[0]
BODIES = {'new, PUT body {"name": "Desk lamp"} (with the space)': b'{"name": "Desk lamp"}'}
TOKEN = "3f4eda2bdec17232f67c0b188af3eec1"


def request_of(vector: dict[str, Any]) -> Request:
    """The request that a worked example signs."""
    whole = FIRST if vector.get("same_as_above") else {}
    headers = {"client_id": FIRST["client_id"], "t": FIRST["t"], "sign": vector["sign"]}
    nonce, listed = (
        whole.get("nonce", vector.get("nonce")),
        whole.get("signature_headers", vector.get("signature_headers")),
    )
    if nonce:
        headers |= {"nonce": nonce, "signature-headers": listed, **FIRST["headers"]}
    if token := vector.get("access_token"):
        headers["access_token"] = token
    url = vector.get("url", "/v1.0/token?grant_type=1")
    if wire := vector.get("wire_query"):
        url = f"{url.partition('?')[0]}?{wire}"
    return Request(vector.get("method", "GET"), url, headers, BODIES.get(vector["kind"], b""))


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"].startswith("new")], ids=lambda v: v["kind"])
def test_every_worked_example_verifies(vector: dict[str, Any]) -> None:
    assert signed_by(FIRST["secret"], request_of(vector))


@pytest.mark.parametrize("kind", ["old, token", "old, business"])
def test_the_old_algorithm_counts_only_where_it_is_allowed(kind: str) -> None:
    vector = next(v for v in VECTORS if v["kind"] == kind)
    request = request_of(vector | ({"access_token": TOKEN} if "business" in kind else {}))
    assert signed_by(FIRST["secret"], request, old=True)
    assert not signed_by(FIRST["secret"], request)


def request(
    target: str = "/v1.0/devices", method: str = "GET", body: bytes = b"", headers: dict[str, str] | None = None
) -> Request:
    return Request(method, target, {"client_id": "id", "t": "1588925778000", **(headers or {})}, body)


def signed(of: Request, text: str, secret: str = "s" * 32) -> Request:
    """`of`, its `text` signed as the documentation says."""
    parts = [of.header("client_id"), of.header("access_token"), of.header("t"), of.header("nonce"), text]
    return replace(of, headers={**of.headers, "sign": sign(secret, parts)})


def text(of: Request, *, url: str, digest: str | None = None, block: str = "") -> str:
    return f"{of.method}\n{digest or hashlib.sha256(of.body).hexdigest()}\n{block}\n{url}"


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("/v1.0/devices?b=2&a=1", "/v1.0/devices?a=1&b=2"),  # sorted, as documented
        ("/v1.0/devices?b=2&a=1", "/v1.0/devices?b=2&a=1"),  # as sent (tinytuya given a list)
        ("/v1.0/devices?b=%2C&a=x+y", "/v1.0/devices?a=x y&b=,"),  # decoded and sorted
        ("/v1.0/devices?b=%2C&a=1", "/v1.0/devices?a=1&b=%2C"),  # sorted only
        ("/v1.0/homes/a%20b", "/v1.0/homes/a b"),  # decoded path
        ("/v1.0/devices/", "/v1.0/devices/"),  # a trailing slash is signed as it is sent
        ("/v2.0/x?is_recursion=True&a=1", "/v2.0/x?a=1&is_recursion=True"),
    ],
)
def test_every_form_of_an_address_that_clients_sign_verifies(target: str, url: str) -> None:
    of = request(target)
    assert signed_by("s" * 32, signed(of, text(of, url=url)))


def test_python_clients_sign_nothing_for_an_empty_object() -> None:
    of = request(method="POST", body=b"{}")
    assert signed_by("s" * 32, signed(of, text(of, url="/v1.0/devices", digest=EMPTY)))
    other = request(method="POST", body=b'{"a":1}')
    assert not signed_by("s" * 32, signed(other, text(other, url="/v1.0/devices", digest=EMPTY)))


@pytest.mark.parametrize("block", ["Content-type:application/json\n", "Content-type:application/json", ""])
def test_every_header_block_that_clients_sign_verifies(block: str) -> None:
    of = request(headers={"signature-headers": "Content-type", "content-type": "application/json"})
    assert signed_by("s" * 32, signed(of, text(of, url="/v1.0/devices", block=block)))


def test_a_token_call_is_signed_with_or_without_the_token_it_carries() -> None:
    of = request("/v1.0/token?grant_type=1", headers={"access_token": TOKEN})
    with_it = signed(of, text(of, url="/v1.0/token?grant_type=1"))
    bare = request("/v1.0/token?grant_type=1")
    without = replace(of, headers={**of.headers, "sign": signed(bare, text(bare, url=bare.target)).header("sign")})
    assert signed_by("s" * 32, with_it, token_call=True)
    assert signed_by("s" * 32, without, token_call=True)
    assert not signed_by("s" * 32, without)


def test_odd_requests_cost_a_bounded_number_of_forms() -> None:
    odd = request("/v1.0/a%20b?b=%2C&a=+", "POST", b"{}", {"signature-headers": "a:b", "a": "1", "b": "2"})
    assert len(list(strings_to_sign(odd))) > MAX_FORMS
    last = list(strings_to_sign(odd))[-1]
    assert not signed_by("s" * 32, signed(odd, last))


BASE = request(
    "/v1.0/devices/d?b=2&a=1",
    "POST",
    b'{"commands":[{"code":"switch_1","value":true}]}',
    {"access_token": TOKEN, "nonce": "5138cc3a", "signature-headers": "area_id", "area_id": "29a3"},
)
SIGNED = signed(BASE, text(BASE, url="/v1.0/devices/d?a=1&b=2", block="area_id:29a3\n"))


def flipped(data: str, bit: int) -> str:
    raw = bytearray(data.encode("latin-1"))
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    return raw.decode("latin-1")


@given(
    where=st.sampled_from(["method", "target", "body", "t", "access_token", "nonce", "area_id", "client_id", "sign"]),
    bit=st.integers(0, 4095),
)
def test_a_flipped_bit_anywhere_does_not_verify(where: str, bit: int) -> None:
    match where:
        case "method":
            changed = replace(SIGNED, method=flipped(SIGNED.method, bit))
        case "target":
            changed = replace(SIGNED, target=flipped(SIGNED.target, bit))
        case "body":
            changed = replace(SIGNED, body=flipped(SIGNED.body.decode(), bit).encode("latin-1"))
        case _:
            changed = replace(SIGNED, headers={**SIGNED.headers, where: flipped(SIGNED.header(where), bit)})
    assert signed_by("s" * 32, SIGNED)
    if where == "sign" and changed.header("sign").upper() == SIGNED.header("sign"):
        return  # a letter's case carries nothing
    assert not signed_by("s" * 32, changed)


@given(
    st.binary(max_size=200),
    st.text(max_size=80),
    st.text(max_size=80),
    st.dictionaries(st.text(max_size=12), st.text(max_size=80), max_size=6),
)
def test_anything_at_all_is_refused_without_a_fault(
    body: bytes, method: str, target: str, headers: dict[str, str]
) -> None:
    assert not signed_by("s" * 32, Request(method, target, headers, body), old=True, token_call=True)
