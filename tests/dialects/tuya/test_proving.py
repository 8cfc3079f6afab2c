"""Who is let in: the key, the time, the token, the signature; sessions that do not disturb each other."""

import httpx2
import pytest

from app.dialects.tuya.model import ACCESS_S, GRACE_MS
from app.dialects.tuya.proving import WINDOW_MS
from tests.api.harness import Api
from tests.api.things import bind, home_of
from tests.dialects.tuya.signer import TuyaClient, tuya_client

LIST = "/v1.0/devices?page_no=1&page_size=20"


@pytest.fixture
async def anna(api: Api) -> httpx2.AsyncClient:
    return await api.person("anna")


@pytest.fixture
async def client(api: Api, anna: httpx2.AsyncClient) -> TuyaClient:
    await home_of(anna)
    return await tuya_client(api, anna)


async def test_two_clients_of_one_key_never_evict_each_other(api: Api, client: TuyaClient) -> None:
    other = await TuyaClient(api, api.client(), client.client_id, client.secret).connect()
    assert other.token != client.token
    refreshed = await client.ask("GET", f"/v1.0/token/{client.refresh_token}")
    old, client.token = client.token, refreshed["access_token"]
    for token in (client.token, other.token, old):  # the old one for calls that were on their way
        assert await client.code("GET", LIST, token=token) is None
    api.forward(GRACE_MS)
    assert await client.code("GET", LIST, token=old) == 1010
    assert await other.code("GET", LIST) is None


async def test_a_refresh_token_is_spent_once_and_by_its_own_key_only(
    api: Api, anna: httpx2.AsyncClient, client: TuyaClient
) -> None:
    stranger = await tuya_client(api, anna)
    path = f"/v1.0/token/{client.refresh_token}"
    assert await stranger.code("GET", path) == 1010
    assert await client.code("GET", path) is None
    assert await client.code("GET", path) == 1010


async def test_a_token_ends_at_its_time_and_is_told_so_in_the_words_clients_read(api: Api, client: TuyaClient) -> None:
    api.forward(ACCESS_S * 1000)
    refused = await client.send("GET", LIST)
    assert (refused["code"], refused["msg"]) == (1010, "token invalid")


async def test_a_revoked_key_is_out_at_once(api: Api, anna: httpx2.AsyncClient, client: TuyaClient) -> None:
    await anna.delete(f"/api/me/keys/{client.client_id}")
    assert await client.code("GET", LIST) == 1010
    assert await client.code("GET", "/v1.0/token?grant_type=1", token="") == 1005


async def test_sessions_outlive_a_restart(api: Api, client: TuyaClient) -> None:
    await api.__aexit__(None, None, None)
    await api.__aenter__()
    client.http = api.client()
    assert await client.code("GET", LIST) is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"sign": "0" * 64}, 1004),
        ({"sign": ""}, 1105),
        ({"client_id": "nobody"}, 1010),
        ({"access_token": "0" * 32}, 1010),
        ({"access_token": ""}, 1010),
        ({"t": "1"}, 1013),
        ({"t": "x"}, 1013),
    ],
)
async def test_whatever_is_wrong_has_its_code(client: TuyaClient, changed: dict[str, str], code: int) -> None:
    headers = client.headers("GET", LIST, b"") | changed
    answer = await client.http.get(LIST, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (200, code)


async def test_a_request_from_too_long_ago_is_refused(api: Api, client: TuyaClient) -> None:
    headers = client.headers("GET", LIST, b"")
    api.forward(WINDOW_MS + 1000)
    assert (await client.http.get(LIST, headers=headers)).json()["code"] == 1013


async def test_a_nonce_is_taken_once(client: TuyaClient) -> None:
    headers = client.headers("GET", LIST, b"", nonce="5138cc3a")
    assert (await client.http.get(LIST, headers=headers)).json()["success"]
    assert (await client.http.get(LIST, headers=headers)).json()["code"] == 1113
    plain = client.headers("GET", LIST, b"")
    for _ in range(2):  # without one, two equal calls in one millisecond are no attack
        assert (await client.http.get(LIST, headers=plain)).json()["success"]


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/v1.0/nowhere", 1108),
        ("POST", "/v1.0/devices/status", 1108),
        ("PATCH", "/v1.0/devices", 1108),
        ("GET", "/v2.0/", 1108),
        ("GET", "/v1.0/devices/none", 1106),
        ("GET", "/v1.0/devices?page_no=x", 1104),
        ("PUT", "/v1.0/devices/none", 1109),
    ],
)
async def test_every_refusal_is_an_envelope_with_status_200(
    client: TuyaClient, method: str, target: str, code: int
) -> None:
    assert await client.code(method, target) == code


async def test_bodies_are_json_by_content_and_bounded(api: Api, anna: httpx2.AsyncClient, client: TuyaClient) -> None:
    home_id = (await anna.get("/api/homes")).json()["items"][0]["id"]
    path = f"/v1.0/devices/{await bind(api, home_id)}"

    async def put(raw: bytes) -> int | None:
        answer = await client.http.put(path, content=raw, headers=client.headers("PUT", path, raw))
        assert answer.status_code == 200
        code: int | None = answer.json().get("code")
        return code

    assert await put(b'{"name":"Lamp \xc3\xa9"}') is None
    for raw in (b"", b"{", b"\xff", b"[" * 100_000, b'{"name":1}', b'{"name":""}'):
        assert await put(raw) == 1109
    assert await put(b" " * (2 << 20)) == 1109


async def test_a_key_does_what_its_scopes_and_its_home_let_it(api: Api, anna: httpx2.AsyncClient) -> None:
    home_id, other = await home_of(anna), await home_of(anna)
    device, elsewhere = await bind(api, home_id), await bind(api, other, "d-2")
    reader = await tuya_client(api, anna, home_id, ("read",))
    assert [d["id"] for d in (await reader.ask("GET", LIST))["devices"]] == [device]
    assert await reader.code("GET", f"/v1.0/devices/{elsewhere}") == 1106
    assert await reader.code("PUT", f"/v1.0/devices/{device}", {"name": "x"}) == 1106
    on = {"commands": [{"code": "switch_led", "value": True}]}
    assert await reader.code("POST", f"/v1.0/devices/{device}/commands", on) == 1106


async def test_a_key_of_another_face_is_no_client(api: Api, anna: httpx2.AsyncClient) -> None:
    made = (await anna.post("/api/me/keys", json={"name": "x", "scopes": ["read"]})).json()
    client = TuyaClient(api, api.client(), made["key"]["id"], made["secret"])
    assert await client.code("GET", "/v1.0/token?grant_type=1", token="") == 1005
