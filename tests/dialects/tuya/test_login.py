"""Signing in with a digest of the password: for who turned it on, until the password changes."""

import hashlib

import httpx2
import pytest

from tests.api.harness import Api
from tests.api.test_accounts_signing_in import ANNA, OTHER_PASSWORD, PASSWORD, claim
from tests.dialects.tuya.signer import TuyaClient, tuya_client

APP = "/v1.0/iot-01/associated-users/actions/authorized-login"
CUSTOM = "/v1.0/iot-03/users/login"


def app_login(password: str, username: str = ANNA["login"]) -> dict[str, str | int]:
    return {
        "username": username,
        "password": hashlib.md5(password.encode()).hexdigest(),
        "country_code": 49,
        "schema": "x",
    }


def custom_login(password: str) -> dict[str, str]:
    return {"username": ANNA["login"], "password": hashlib.sha256(password.encode()).hexdigest()}


@pytest.fixture
async def anna(api: Api) -> httpx2.AsyncClient:
    claimed = (await claim(api)).json()
    return api.client(claimed["session"]["access_token"])


@pytest.fixture
async def client(api: Api, anna: httpx2.AsyncClient) -> TuyaClient:
    return await tuya_client(api, anna)


async def turn_on(anna: httpx2.AsyncClient, password: str = PASSWORD) -> int:
    return (await anna.put("/api/me/digest-login", json={"password": password})).status_code


async def test_both_variants_open_a_session_once_it_is_on(anna: httpx2.AsyncClient, client: TuyaClient) -> None:
    assert await client.code("POST", APP, app_login(PASSWORD), token="") == 2401
    assert await turn_on(anna, "wrong password") == 403
    assert await turn_on(anna) == 204
    for path, body in ((APP, app_login(PASSWORD)), (CUSTOM, custom_login(PASSWORD))):
        given = (await client.send("POST", path, body, token=""))["result"]
        assert given["uid"] == client.uid
        client.token = given["access_token"]
        assert await client.ask("GET", f"/v1.0/users/{client.uid}/homes") == []
    assert (await client.send("POST", APP, app_login(PASSWORD), token=""))["result"]["platform_url"] == ""


async def test_a_wrong_digest_and_another_persons_are_refused(
    api: Api, anna: httpx2.AsyncClient, client: TuyaClient
) -> None:
    await turn_on(anna)
    ben = await api.person("ben")
    bens = await tuya_client(api, ben)
    assert await bens.code("POST", APP, app_login(PASSWORD), token="") == 2401
    for body in (app_login("wrong password"), app_login(PASSWORD, "nobody"), {"username": ANNA["login"]}):
        assert await client.code("POST", APP, body, token="") in (2401, 1109)


async def test_a_new_password_ends_it_and_so_does_turning_it_off(anna: httpx2.AsyncClient, client: TuyaClient) -> None:
    await turn_on(anna)
    changed = await anna.put("/api/me/password", json={"old": PASSWORD, "new": OTHER_PASSWORD})
    assert changed.status_code == 204
    for password in (PASSWORD, OTHER_PASSWORD):
        assert await client.code("POST", APP, app_login(password), token="") == 2401
    assert await turn_on(anna, OTHER_PASSWORD) == 204
    assert await client.code("POST", APP, app_login(OTHER_PASSWORD), token="") is None
    assert (await anna.delete("/api/me/digest-login")).status_code == 204
    assert await client.code("POST", APP, app_login(OTHER_PASSWORD), token="") == 2401
