"""Valid requests with anything changed about them: status 200, a whole envelope, and never the code for a fault."""

import json
import random
from typing import Any

import pytest

from tests.api.harness import Api
from tests.api.things import bind, home_of
from tests.dialects.tuya.signer import TuyaClient, tuya_client

SAMPLE = 300
WHOLE = 10_000


def mutated(rng: random.Random, data: bytes) -> bytes:
    """`data` with something of it flipped, cut, doubled or put in."""
    raw = bytearray(data or b"{}")
    at = rng.randrange(len(raw))
    match rng.randrange(4):
        case 0:
            raw[at] ^= 1 << rng.randrange(8)
        case 1:
            del raw[at : at + rng.randrange(1, 9)]
        case 2:
            raw[at:at] = raw[: rng.randrange(1, 9)]
        case _:
            raw[at:at] = rng.randbytes(rng.randrange(1, 9))
    return bytes(raw)


def header_safe(value: bytes) -> bytes:
    """What a header can carry at all."""
    return bytes(octet for octet in value if 32 <= octet < 127)


async def send(client: TuyaClient, rng: random.Random, request: tuple[str, str, Any]) -> None:
    """One request, changed before it is signed or after; its answer is whole."""
    method, target, body = request
    raw = b"" if body is None else json.dumps(body).encode()
    where = rng.choice(["signed body", "signed target", "body", "target", "method", "header", "header"])
    if where == "signed body":
        raw = mutated(rng, raw)
    if where == "signed target":
        target = "/v" + header_safe(mutated(rng, target[2:].encode())).decode().replace("#", "").replace(" ", "")
    if not target.startswith(("/v1.", "/v2.")):
        return
    headers = client.headers(method, target, raw)
    if where == "header":
        name = rng.choice(list(headers))
        headers[name] = header_safe(mutated(rng, headers[name].encode())).decode()
    if where == "body":
        raw = mutated(rng, raw)
    if where == "method":
        method = rng.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
    if where == "target":
        target = target[:-1] + rng.choice("abc/?&=%25")
    answer = await client.http.request(method, target, content=raw, headers=headers)
    assert answer.status_code == 200, (method, target, answer.status_code)
    envelope = answer.json()
    assert {"success", "t", "tid"} <= set(envelope)
    assert envelope["success"] or envelope["code"] != 500, (method, target, raw, envelope)


@pytest.mark.parametrize("count", [SAMPLE, pytest.param(WHOLE, marks=pytest.mark.full)])
async def test_no_mutation_breaks_an_envelope(api: Api, count: int) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    lamp = await bind(api, home_id)
    client = await tuya_client(api, anna)
    rng = random.Random(count)
    requests: list[tuple[str, str, Any]] = [
        ("GET", f"/v1.0/devices/{lamp}", None),
        ("GET", f"/v1.0/devices?page_no=1&page_size=20&device_ids={lamp}", None),
        ("GET", f"/v1.0/users/{client.uid}/devices?from=home", None),
        ("PUT", f"/v1.0/devices/{lamp}", {"name": "Lamp"}),
        ("POST", f"/v1.0/devices/{lamp}/commands", {"commands": [{"code": "bright_value_v2", "value": 500}]}),
        ("POST", f"/v1.0/devices/{lamp}/user", {"nick_name": "x", "sex": 1, "birthday": 1544996327422}),
        ("POST", "/v1.0/home/create-home", {"uid": client.uid, "home": {"name": "n", "lat": 1.5}, "rooms": ["a"]}),
        ("POST", f"/v1.0/homes/{home_id}/room", {"name": "Room"}),
        ("POST", f"/v2.0/cloud/thing/{lamp}/shadow/properties/desired", {"properties": '{"switch_led":true}'}),
        ("GET", f"/v2.0/cloud/thing/space/device?space_ids={home_id}&page_size=20", None),
        ("GET", f"/v2.0/cloud/thing/{lamp}/shadow/properties?codes=switch_led", None),
        ("GET", "/v1.0/token?grant_type=1", None),
    ]
    for _ in range(count):
        await send(client, rng, rng.choice(requests))
