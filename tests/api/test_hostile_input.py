"""What nobody in their right mind sends: refused as the sender's mistake, never one of the hub's."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.clock import LAST_MS, to_ms, to_time
from app.settings import Limits
from tests.api.harness import Api
from tests.api.things import bind, home_of

BEYOND = 1 << 63
# It is the year 10000 in Greenwich by then.
LATEST = "9999-12-31T23:59:59.999999-12:00"


def cursor(*place: int | str) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


@pytest.mark.parametrize("number", [BEYOND, -BEYOND - 1, -1, 10**40])
async def test_a_cursor_that_is_no_place_in_any_table_is_refused(api: Api, number: int) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    device_id = await bind(api, home_id)
    lists = {
        f"/api/devices/{device_id}/commands": cursor(number),
        f"/api/devices/{device_id}/journal": cursor(number),
        f"/api/homes/{home_id}/audit": cursor(number),
        f"/api/homes/{home_id}/pairing": cursor(number, "x"),
    }
    for path, place in lists.items():
        answer = await anna.get(path, params={"cursor": place})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), path


async def test_the_last_times_there_are_can_be_stated_and_shown(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    device_id = await bind(api, home_id)
    asked = [
        (f"/api/devices/{device_id}/shares", {"until": LATEST}, "share", "until"),
        (f"/api/homes/{home_id}/invitations", {"role": "guest", "until": LATEST}, "invitation", "until"),
        ("/api/me/keys", {"name": "x", "scopes": ["read"], "expires_at": LATEST}, "key", "expires_at"),
    ]
    for path, body, made, field in asked:
        answer = await anna.post(path, json=body)
        assert answer.status_code == 201, answer.text
        assert answer.json()[made][field].startswith("9999-12-31T23:59:59")
    assert to_ms(to_time(LAST_MS)) == LAST_MS


async def test_no_more_of_a_body_is_read_than_the_settings_say(tmp_path: Path) -> None:
    async with Api(tmp_path / "data", Limits(body_bytes=2000)) as api:
        anna = await api.person("anna")
        device_id = await bind(api, await home_of(anna))
        for path in ("/api/homes", f"/api/devices/{device_id}/commands"):
            answer = await anna.post(path, json={"service": "light", "values": {}, "name": "x" * 2000})
            assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large"), path


async def test_who_goes_while_they_join_is_told_so(api: Api) -> None:
    anna, guest = await api.person("anna"), await api.person("guest", anonymous=True)
    home_id = await home_of(anna)
    code = (await anna.post(f"/api/homes/{home_id}/invitations", json={"role": "guest"})).json()["code"]
    gone, joined = await asyncio.gather(
        guest.post("/api/me/delete", json={}), guest.post("/api/invitations/accept", json={"code": code})
    )
    assert (gone.status_code, joined.status_code, joined.json()["code"]) == (204, 409, "overtaken")


@pytest.mark.parametrize("path", ["/api/homes", "/api/devices/{}/commands"])
async def test_who_is_signed_out_while_they_still_send_is_signed_out(api: Api, path: str) -> None:
    anna = await api.person("anna")
    device_id = await bind(api, await home_of(anna))
    body = {"/api/homes": {"name": "Late", "time_zone": "UTC"}}.get(path, {"service": "light", "values": {"on": True}})
    begun = asyncio.Event()
    signed_out = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        text = json.dumps(body).encode()
        yield text[:5]
        begun.set()
        await signed_out.wait()
        yield text[5:]

    asked = asyncio.create_task(
        anna.post(
            path.format(device_id),
            content=slowly(),
            headers={"Content-Type": "application/json", "Content-Length": str(len(json.dumps(body)))},
        )
    )
    async with asyncio.timeout(20):
        await begun.wait()
        assert (await anna.post("/api/sign-out")).status_code == 204
        signed_out.set()
        assert (await asked).status_code == 401
    assert [home.name for home in api.services.standings.homes.values()] == ["Lindenweg"]
    assert api.services.control.dispatch.count(device_id) == 0
