"""Keys for programs, and signing in on a second screen."""

from datetime import UTC, datetime

import httpx2
import pytest

from app.accounts.dialects import secret_row
from app.accounts.screens import MAX_PER_ADDRESS, SCREEN_MS
from app.clock import to_time
from tests.api.harness import Api
from tests.api.households import new_home
from tests.api.test_accounts_signing_in import ANNA, OTHER_PASSWORD, PASSWORD, claim, sign_in


async def make_key(person: httpx2.AsyncClient, **fields: object) -> httpx2.Response:
    """A key of a person's."""
    return await person.post("/api/me/keys", json={"name": "script", "scopes": ["read"]} | fields)


async def start_screen(api: Api) -> dict[str, str]:
    """What a second screen shows."""
    started = await api.client().post("/api/sign-in/screens", json={"screen": "Living room TV"})
    assert started.status_code == 201
    shown: dict[str, str] = started.json()
    return shown


async def poll(api: Api, shown: dict[str, str], token: str | None = None) -> httpx2.Response:
    """What the screen is answered."""
    body = {"poll_token": token or shown["poll_token"]}
    return await api.client().post(f"/api/sign-in/screens/{shown['id']}/poll", json=body)


async def test_a_key_does_what_its_scopes_say_and_no_more(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    made = await make_key(anna)
    assert made.status_code == 201
    program = api.client(made.json()["secret"])
    assert (await program.get(home)).status_code == 200
    assert (await program.patch(home, json={"name": "x"})).status_code == 403
    manager = api.client((await make_key(anna, scopes=["read", "manage"])).json()["secret"])
    assert (await manager.patch(home, json={"name": "x"})).status_code == 200


async def test_a_key_of_one_home_sees_no_other(api: Api) -> None:
    anna = await api.person("anna")
    one, other = await new_home(anna), await new_home(anna)
    made = await make_key(anna, scopes=["read", "manage"], home_id=one.rpartition("/")[2])
    program = api.client(made.json()["secret"])
    assert [(await program.get(home)).status_code for home in (one, other)] == [200, 404]
    assert (await program.post("/api/homes", json={"name": "New", "time_zone": "UTC"})).status_code == 403


async def test_a_key_never_makes_keys_nor_touches_sessions_or_the_password(api: Api) -> None:
    anna = await api.person("anna")
    program = api.client((await make_key(anna, scopes=["read", "control", "manage"])).json()["secret"])
    answers = [
        await make_key(program),
        await program.get("/api/me/keys"),
        await program.get("/api/me/sessions"),
        await program.post("/api/me/sessions/revoke-others"),
        await program.put("/api/me/password", json={"old": "x", "new": "long enough"}),
        await program.post("/api/me/delete", json={}),
    ]
    assert [a.json()["code"] for a in answers] == ["person_only"] * len(answers)


async def test_keys_are_listed_without_secrets_and_revoked(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    made = (await make_key(anna)).json()
    assert (await anna.get("/api/me/keys")).json()["items"] == [made["key"]]
    assert (await ben.delete(f"/api/me/keys/{made['key']['id']}")).status_code == 404
    assert (await anna.delete(f"/api/me/keys/{made['key']['id']}")).status_code == 204
    assert (await api.client(made["secret"]).get("/api/homes")).status_code == 401


@pytest.mark.parametrize("dialect", ["tuya", "bota"])
async def test_a_key_for_another_face_opens_nothing_here(api: Api, dialect: str) -> None:
    anna = await api.person("anna")
    made = (await make_key(anna, scopes=["read", "control", "manage"], dialect=dialect)).json()
    assert made["key"]["dialect"] == dialect
    assert (await api.client(made["secret"]).get("/api/homes")).status_code == 401


async def test_a_secret_that_signs_is_in_the_vault_until_its_key_ends(api: Api) -> None:
    anna = await api.person("anna")
    made = (await make_key(anna, dialect="tuya")).json()
    row = secret_row(made["key"]["id"])
    assert await api.store.read(lambda r: api.store.vault.fetch(r, row)) == made["secret"].encode()
    assert len(made["secret"]) == 32
    await anna.delete(f"/api/me/keys/{made['key']['id']}")
    assert await api.store.read(lambda r: api.store.vault.fetch(r, row)) is None


async def test_a_key_ends_at_its_time(api: Api) -> None:
    anna = await api.person("anna")
    now = api.clock.now().ms
    assert (await make_key(anna, expires_at=datetime(2020, 1, 1, tzinfo=UTC).isoformat())).status_code == 400
    made = (await make_key(anna, expires_at=to_time(now + 60_000).isoformat())).json()
    program = api.client(made["secret"])
    assert (await program.get("/api/homes")).status_code == 200
    api.clock.set(now + 61_000)
    assert (await program.get("/api/homes")).status_code == 401
    await api.store.housekeeping.run()
    assert (await anna.get("/api/me/keys")).json()["items"] == []


async def test_a_repeated_request_makes_one_key_and_shows_it_again(api: Api) -> None:
    anna = await api.person("anna")
    body = {"name": "script", "scopes": ["read"]}
    answers = [await anna.post("/api/me/keys", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert len((await anna.get("/api/me/keys")).json()["items"]) == 1


async def test_who_has_no_login_has_no_keys(api: Api) -> None:
    guest = await api.person("visitor", anonymous=True)
    assert (await make_key(guest)).status_code == 403


async def test_a_phone_signs_a_screen_in(api: Api) -> None:
    anna = await api.person("anna")
    shown = await start_screen(api)
    assert shown["qr_svg"].startswith("<svg")
    assert shown["link"].endswith(shown["code"])
    assert (await poll(api, shown)).json() == {"approved": False, "session": None}
    seen = await anna.post("/api/me/screens/look", json={"code": shown["code"].lower()})
    assert seen.json()["screen"] == "Living room TV"
    assert (await anna.post("/api/me/screens/approve", json={"code": shown["code"]})).status_code == 204
    approved = (await poll(api, shown)).json()
    screen = api.client(approved["session"]["access_token"])
    assert (await screen.get("/api/me")).json() == (await anna.get("/api/me")).json()
    assert "Living room TV" in [s["name"] for s in (await anna.get("/api/me/sessions")).json()["items"]]
    assert (await poll(api, shown)).status_code == 404


async def test_a_screen_is_approved_once_and_polled_by_itself_alone(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    shown = await start_screen(api)
    assert (await poll(api, shown, token="dsp_wrong")).status_code == 404
    assert (await anna.post("/api/me/screens/approve", json={"code": shown["code"]})).status_code == 204
    assert (await ben.post("/api/me/screens/approve", json={"code": shown["code"]})).status_code == 404
    assert (await poll(api, shown)).json()["approved"]


@pytest.mark.parametrize("how", ["recovered", "password", "others"])
async def test_a_screen_a_thief_said_yes_to_is_not_let_in_once_the_thief_is_out(api: Api, how: str) -> None:
    claimed = (await claim(api)).json()
    anna, shown = api.client(claimed["session"]["access_token"]), await start_screen(api)
    thief = api.client((await sign_in(api, phone="the thief's")).json()["access_token"])
    assert (await thief.post("/api/me/screens/approve", json={"code": shown["code"]})).status_code == 204
    if how == "recovered":
        body = {**ANNA, "password": OTHER_PASSWORD, "recovery_code": claimed["recovery_code"]}
        out = await api.client().post("/api/sign-in/recover", json=body)
    elif how == "password":
        out = await anna.put("/api/me/password", json={"old": PASSWORD, "new": OTHER_PASSWORD})
    else:
        out = await anna.post("/api/me/sessions/revoke-others")
    assert out.is_success
    assert (await poll(api, shown)).status_code == 404


async def test_a_code_on_a_screen_ends_after_two_minutes(api: Api) -> None:
    anna = await api.person("anna")
    shown = await start_screen(api)
    api.clock.set(api.clock.now().ms + SCREEN_MS)
    assert (await anna.post("/api/me/screens/approve", json={"code": shown["code"]})).status_code == 404
    assert (await poll(api, shown)).status_code == 404


async def test_one_address_shows_so_many_codes_and_no_more(api: Api) -> None:
    for _ in range(MAX_PER_ADDRESS):
        await start_screen(api)
    body = {"screen": "one more"}
    assert (await api.client().post("/api/sign-in/screens", json=body)).status_code == 429
    api.clock.set(api.clock.now().ms + SCREEN_MS)
    assert (await api.client().post("/api/sign-in/screens", json=body)).status_code == 201
