"""Invitations over the companion API: made, taken up, refused, revoked, expired, guessed at."""

import asyncio
from typing import Any

import httpx2
import pytest

from app.clock import to_time
from app.store.retention import KEEP, Keep
from tests.api.harness import Api
from tests.api.households import account_of, join, new_home

DAY_MS = 24 * 3600 * 1000
PASSWORD = "correct horse battery"
SIGN_UP = {"login": "ben@example.org", "password": PASSWORD, "name": "Ben", "phone": "Ben's phone"}


async def _invite(by: httpx2.AsyncClient, home: str, **fields: Any) -> dict[str, Any]:
    made = await by.post(f"{home}/invitations", json=fields)
    assert made.status_code == 201, made.text
    return dict(made.json())


async def _accept(by: httpx2.AsyncClient, code: str) -> httpx2.Response:
    return await by.post("/api/invitations/accept", json={"code": code})


async def test_a_code_makes_a_member(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home = await new_home(anna)
    made = await _invite(anna, home)
    offer = await api.client().post("/api/invitations/look", json={"code": made["code"]})
    assert (offer.json()["home_name"], offer.json()["invited_by"], offer.json()["role"]) == (
        "Lindenweg",
        "anna",
        "member",
    )
    joined = await _accept(ben, made["code"].lower().replace("-", " "))
    assert (joined.status_code, joined.json()["role"]) == (200, "member")
    assert (await ben.get(home)).status_code == 200
    listed = (await anna.get(f"{home}/invitations")).json()["items"]
    assert [(i["state"], i["taken_by"]) for i in listed] == [("accepted", account_of(ben))]


async def test_a_code_comes_as_link_and_picture_and_is_not_kept(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    made = await _invite(anna, home)
    assert made["link"].startswith("doorstep:invitation?hub=")
    assert made["link"].endswith(made["code"])
    assert made["qr"].startswith("<svg")
    assert len(made["code"].replace("-", "")) * 5 >= 50
    again = await anna.get(f"{home}/invitations/{made['invitation']['id']}")
    assert made["code"] not in again.text
    stored = await api.store.read(lambda r: r.all("SELECT * FROM invitations") + r.all("SELECT data FROM events"))
    assert made["code"] not in str(stored)


async def test_a_code_works_once_and_repeating_it_changes_nothing(api: Api) -> None:
    anna, ben, cleo = await api.person("anna"), await api.person("ben"), await api.person("cleo")
    home = await new_home(anna)
    code = (await _invite(anna, home))["code"]
    answers = await asyncio.gather(*(_accept(by, code) for by in (ben, cleo)))
    assert sorted(a.status_code for a in answers) == [200, 410]
    winner = ben if answers[0].status_code == 200 else cleo
    assert (await _accept(winner, code)).status_code == 200
    assert len((await anna.get(f"{home}/members")).json()["items"]) == 2


async def test_an_invitation_by_login_is_for_its_account_alone(api: Api) -> None:
    anna, ben, cleo = await api.person("anna"), await api.person("ben"), await api.person("cleo")
    home = await new_home(anna)
    made = await _invite(anna, home, login="ben", role="guest")
    assert made["code"] is None
    (offer,) = (await ben.get("/api/me/invitations")).json()["items"]
    assert (await cleo.get("/api/me/invitations")).json()["items"] == []
    path = f"/api/me/invitations/{offer['id']}/accept"
    assert (await cleo.post(path)).status_code == 404
    assert (await ben.post(path)).json()["role"] == "guest"
    assert (await ben.get("/api/me/invitations")).json()["items"] == []


async def test_nobody_learns_who_has_a_login(api: Api) -> None:
    anna = await api.person("anna")
    await api.person("ben")
    home = await new_home(anna)
    known = (await _invite(anna, home, login="ben"))["invitation"]
    unknown = (await _invite(anna, home, login="zoe"))["invitation"]
    varying = {"id": "", "login": "", "created_at": "", "expires_at": ""}
    assert known | varying == unknown | varying


async def test_a_newer_invitation_to_the_same_login_takes_the_place_of_the_older(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home = await new_home(anna)
    await _invite(anna, home, login="ben")
    await _invite(anna, home, login="ben", role="guest")
    assert [o["role"] for o in (await ben.get("/api/me/invitations")).json()["items"]] == ["guest"]
    states = [i["state"] for i in (await anna.get(f"{home}/invitations")).json()["items"]]
    assert states == ["revoked", "pending"]


async def test_who_is_a_member_is_not_invited(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home = await new_home(anna)
    await join(api, home, ben, "member")
    assert (await anna.post(f"{home}/invitations", json={"login": "ben"})).json()["code"] == "already_member"
    code = (await _invite(anna, home))["code"]
    assert (await _accept(ben, code)).json()["code"] == "already_member"


async def test_what_is_refused_revoked_or_expired_has_ended(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home = await new_home(anna)
    codes = {how: (await _invite(anna, home))["code"] for how in ("refused", "expired")}
    revoked = await _invite(anna, home)
    assert (await ben.post("/api/invitations/refuse", json={"code": codes["refused"]})).status_code == 204
    path = f"{home}/invitations/{revoked['invitation']['id']}"
    assert (await anna.delete(path)).status_code == 204
    assert (await anna.delete(path)).status_code == 410
    api.clock.set(api.clock.now().ms + 3 * DAY_MS)
    for code in (*codes.values(), revoked["code"]):
        ended = await _accept(ben, code)
        assert (ended.status_code, ended.json()["code"]) == (410, "invitation_ended")
        assert (await ben.post("/api/invitations/look", json={"code": code})).status_code == 410
    states = {i["state"] for i in (await anna.get(f"{home}/invitations")).json()["items"]}
    assert states == {"refused", "revoked", "expired"}
    assert (await ben.get(home)).status_code == 404


async def test_an_addressed_invitation_can_be_refused(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home = await new_home(anna)
    invitation_id = (await _invite(anna, home, login="ben"))["invitation"]["id"]
    assert (await ben.post(f"/api/me/invitations/{invitation_id}/refuse")).status_code == 204
    assert (await ben.post(f"/api/me/invitations/{invitation_id}/accept")).status_code == 410


async def test_an_invitation_lives_thirty_days_at_most(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    month = 30 * 24 * 3600
    assert (await anna.post(f"{home}/invitations", json={"expires_in": month + 1})).status_code == 400
    assert (await anna.post(f"{home}/invitations", json={"expires_in": month})).status_code == 201


async def test_admins_invite_below_themselves_and_members_nobody(api: Api) -> None:
    anna, ben, cleo = await api.person("anna"), await api.person("ben"), await api.person("cleo")
    home = await new_home(anna)
    await join(api, home, ben, "admin")
    await join(api, home, cleo, "member")
    statuses = [(await by.post(f"{home}/invitations", json={"role": "admin"})).status_code for by in (anna, ben, cleo)]
    assert statuses == [201, 403, 403]
    assert (await ben.post(f"{home}/invitations", json={"role": "member"})).status_code == 201
    owners = (await anna.get(f"{home}/invitations")).json()["items"][0]["id"]
    assert (await ben.delete(f"{home}/invitations/{owners}")).status_code == 403


async def test_who_lost_the_right_brings_nobody_in_by_an_old_code(api: Api) -> None:
    anna, ben, cleo = await api.person("anna"), await api.person("ben"), await api.person("cleo")
    home = await new_home(anna)
    path = await join(api, home, ben, "admin")
    before_demotion, before_removal = [(await _invite(ben, home))["code"] for _ in range(2)]
    await anna.patch(path, json={"role": "member"})
    assert (await _accept(cleo, before_demotion)).status_code == 410
    await anna.delete(path)
    assert (await _accept(cleo, before_removal)).status_code == 410
    states = [i["state"] for i in (await anna.get(f"{home}/invitations")).json()["items"]]
    assert states == ["revoked", "revoked"]


async def test_a_guest_comes_in_with_the_limits_of_the_invitation(api: Api) -> None:
    anna, gil = await api.person("anna"), await api.person("gil")
    home = await new_home(anna)
    known = {"lamp", "plug"}
    api.services.members.known_things.append(lambda reader, home_id, ids: ids & known)
    until = to_time(api.clock.now().ms + DAY_MS).isoformat()
    hours = [{"days": [0, 1, 2, 3, 4, 5, 6], "start": 0, "end": 0}]
    made = await _invite(anna, home, role="guest", until=until, hours=hours, only=["lamp", "plug"])
    known.discard("plug")
    assert (await _accept(gil, made["code"])).status_code == 200
    own = (await gil.get(f"{home}/membership")).json()
    assert (own["hours"], own["only"]) == (hours, ["lamp"])
    assert (await anna.post(f"{home}/invitations", json={"role": "member", "until": until})).status_code == 400


async def test_signing_up_makes_account_membership_and_session_at_once(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    code = (await _invite(anna, home))["code"]
    made = await api.client().post("/api/invitations/sign-up", json=SIGN_UP | {"code": code})
    assert made.status_code == 201, made.text
    assert made.json()["recovery_code"]
    ben = api.client(made.json()["session"]["access_token"])
    assert (await ben.get(home)).json()["role"] == "member"


async def test_of_two_who_sign_up_by_one_code_one_gets_an_account(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    code = (await _invite(anna, home))["code"]
    bodies = [SIGN_UP | {"code": code, "login": login} for login in ("ben", "cleo")]
    phone = api.client()
    answers = await asyncio.gather(*(phone.post("/api/invitations/sign-up", json=body) for body in bodies))
    assert sorted(a.status_code for a in answers) == [201, 410]
    accounts = await api.store.read(lambda r: r.all("SELECT login FROM accounts WHERE login!='anna'"))
    assert len(accounts) == 1
    assert len((await anna.get(f"{home}/members")).json()["items"]) == 2


async def test_a_login_that_is_taken_leaves_nothing_behind(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    code = (await _invite(anna, home))["code"]
    taken = await api.client().post("/api/invitations/sign-up", json=SIGN_UP | {"code": code, "login": "anna"})
    assert (taken.status_code, taken.json()["code"]) == (409, "login_taken")
    assert (await api.client().post("/api/invitations/look", json={"code": code})).status_code == 200
    assert len((await anna.get(f"{home}/members")).json()["items"]) == 1


async def test_who_has_no_login_comes_in_only_where_that_is_allowed(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    body = {"name": "Nora", "phone": "a phone"}
    closed = (await _invite(anna, home, role="guest"))["code"]
    refused = await api.client().post("/api/invitations/anonymous", json=body | {"code": closed})
    assert (refused.status_code, refused.json()["code"]) == (409, "login_needed")
    code = (await _invite(anna, home, role="guest", anonymous=True))["code"]
    made = await api.client().post("/api/invitations/anonymous", json=body | {"code": code})
    assert (made.status_code, made.json()["recovery_code"]) == (201, None)
    nora = api.client(made.json()["session"]["access_token"])
    assert (await nora.get(home)).json()["role"] == "guest"
    assert (await nora.post("/api/homes", json={"name": "x", "time_zone": "UTC"})).status_code == 403
    for bad in ({"role": "admin", "anonymous": True}, {"login": "ben", "anonymous": True}):
        assert (await anna.post(f"{home}/invitations", json=bad)).status_code == 400


@pytest.mark.parametrize("way", ["accept", "look", "sign-up", "anonymous"])
async def test_codes_cannot_be_guessed(api: Api, way: str) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    right = (await _invite(anna, await new_home(anna), anonymous=True))["code"]
    bodies = {"sign-up": SIGN_UP, "anonymous": {"name": "n", "phone": "p"}}
    by = ben if way == "accept" else api.client()
    most = 10 if way == "accept" else 30
    answers = [
        await by.post(f"/api/invitations/{way}", json=bodies.get(way, {}) | {"code": f"{n:012d}"})
        for n in range(most + 1)
    ]
    assert [a.status_code for a in answers] == [404] * most + [429]
    assert len({a.json()["detail"] for a in answers[:most]}) == 1
    assert (await by.post(f"/api/invitations/{way}", json=bodies.get(way, {}) | {"code": right})).status_code == 429


async def test_right_codes_do_not_count(api: Api) -> None:
    anna = await api.person("anna")
    code = (await _invite(anna, await new_home(anna)))["code"]
    phone = api.client()
    statuses = {(await phone.post("/api/invitations/look", json={"code": code})).status_code for _ in range(40)}
    assert statuses == {200}


async def test_without_a_trusted_clock_nothing_that_expires_is_taken_up(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home = await new_home(anna)
    code = (await _invite(anna, home))["code"]
    api.clock.trusted = False
    assert (await _accept(ben, code)).json()["code"] == "clock_untrusted"
    assert (await anna.post(f"{home}/invitations", json={})).json()["code"] == "clock_untrusted"
    api.clock.trusted = True
    assert (await _accept(ben, code)).status_code == 200


async def test_a_repeated_key_invites_once(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    answers = [await anna.post(f"{home}/invitations", json={}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert len((await anna.get(f"{home}/invitations")).json()["items"]) == 1


async def test_ended_invitations_make_room(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KEEP, "invitations", Keep("two", most=2, per="home_id"))
    anna = await api.person("anna")
    home = await new_home(anna)
    first = await _invite(anna, home)
    await _invite(anna, home)
    assert (await anna.post(f"{home}/invitations", json={})).status_code == 429
    await anna.delete(f"{home}/invitations/{first['invitation']['id']}")
    assert (await anna.post(f"{home}/invitations", json={})).status_code == 201


async def test_a_home_that_goes_takes_its_invitations_along(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home = await new_home(anna)
    code = (await _invite(anna, home))["code"]
    await _invite(anna, home, login="ben")
    assert (await anna.post(f"{home}/dissolve", json={"name": "Lindenweg"})).status_code == 204
    assert (await _accept(ben, code)).json()["code"] == "invitation_unknown"
    assert (await ben.get("/api/me/invitations")).json()["items"] == []


async def test_another_homes_invitation_looks_like_none(api: Api) -> None:
    anna = await api.person("anna")
    first, second = await new_home(anna), await new_home(anna)
    made = (await _invite(anna, first))["invitation"]["id"]
    swapped, missing = await anna.get(f"{second}/invitations/{made}"), await anna.get(f"{second}/invitations/none")
    assert swapped.status_code == missing.status_code == 404
    assert {**swapped.json(), "request_id": ""} == {**missing.json(), "request_id": ""}
