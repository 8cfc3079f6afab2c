"""Claiming a hub, signing in, refreshing, recovering; and what keeps others from it."""

import asyncio
from typing import Any

import httpx2
import pytest
from argon2 import PasswordHasher

from app.accounts.hub import CLAIM_TRIES
from app.accounts.passwords import MAX_WAITING
from app.accounts.sessions import GRACE_MS
from app.store.retention import KEEP, Keep
from tests.api.harness import Api

PASSWORD = "correct horse battery"
OTHER_PASSWORD = "staple battery horse"
ANNA = {"login": "Anna@Example.org", "password": PASSWORD, "phone": "Anna's phone"}


async def claim(api: Api, **changes: Any) -> httpx2.Response:
    """Claim with the code the hub shows, as Anna."""
    body = {**ANNA, "name": "Anna", "code": api.services.hub.claim_code} | changes
    return await api.client().post("/api/hub/claim", json=body)


async def sign_in(api: Api, **changes: Any) -> httpx2.Response:
    """Sign in as Anna."""
    return await api.client().post("/api/sign-in", json=ANNA | changes)


async def refresh(api: Api, token: str) -> httpx2.Response:
    """Trade a refresh token in."""
    return await api.client().post("/api/sign-in/refresh", json={"refresh_token": token})


async def works(api: Api, token: str) -> bool:
    """Whether an access token opens anything."""
    answer = await api.client(token).get("/api/homes")
    assert answer.status_code in {200, 401}
    return answer.status_code == 200


async def test_the_first_to_know_the_code_owns_the_hub(api: Api) -> None:
    assert not (await api.client().get("/api/hub")).json()["claimed"]
    made = await claim(api)
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    assert await works(api, made.json()["session"]["access_token"])
    assert (await api.client().get("/api/hub")).json()["claimed"]
    assert api.services.hub.claim_code is None
    again = await claim(api, code="AAAA-BBBB-CCCC", login="ben")
    assert (again.status_code, again.json()["code"]) == (409, "hub_claimed")


async def test_a_code_is_understood_as_people_write_it(api: Api) -> None:
    code = (api.services.hub.claim_code or "").lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert (await claim(api, code=code)).status_code == 201


async def test_of_many_who_claim_at_once_one_does(api: Api) -> None:
    code = api.services.hub.claim_code
    answers = await asyncio.gather(*(claim(api, code=code, login=f"person-{n}") for n in range(4)))
    assert sorted(a.status_code for a in answers) == [201, 409, 409, 409]


async def test_twenty_wrong_codes_make_a_new_one(api: Api) -> None:
    shown: list[str] = []
    api.services.hub.on_claim_code.append(shown.append)
    first = api.services.hub.claim_code
    for _ in range(CLAIM_TRIES):
        wrong = await claim(api, code="0000-0000-0000")
        assert (wrong.status_code, wrong.json()["code"]) == (403, "claim_code_wrong")
    assert shown == [api.services.hub.claim_code]
    assert (await claim(api, code=first)).status_code == 403
    assert (await claim(api)).status_code == 201


async def test_a_claim_may_set_a_hub_without_a_clock(api: Api) -> None:
    api.clock.trusted = False
    assert not (await api.client().get("/api/hub")).json()["time_trusted"]
    claimed = await claim(api, time="2031-05-06T07:08:09+02:00")
    assert claimed.status_code == 201
    assert await works(api, claimed.json()["session"]["access_token"])
    hub = (await api.client().get("/api/hub")).json()
    assert hub["time_trusted"]
    assert hub["time"].startswith("2031-05-06T05:08")


async def test_only_the_hubs_owner_sets_its_clock_and_name(api: Api) -> None:
    owner = api.client((await claim(api)).json()["session"]["access_token"])
    ben = await api.person("ben")
    body = {"time": "2031-01-01T00:00:00Z"}
    assert (await ben.put("/api/hub/clock", json=body)).status_code == 403
    assert (await owner.put("/api/hub/clock", json={"time": "1999-01-01T00:00:00Z"})).status_code == 400
    assert (await ben.patch("/api/hub", json={"name": "Mine"})).status_code == 403
    assert (await owner.patch("/api/hub", json={"name": "Attic"})).json()["name"] == "Attic"
    assert (await api.client().get("/api/hub")).json()["name"] == "Attic"
    assert (await owner.put("/api/hub/clock", json=body)).status_code == 200


async def test_a_hub_keeps_its_identity_and_shows_a_new_code_when_it_starts_again(api: Api) -> None:
    hub, before = api.services.hub, api.services.hub.claim_code
    view = hub.view()
    await hub.open("another name")
    assert (hub.view().id, hub.view().name) == (view.id, view.name)
    assert hub.claim_code != before
    assert (await hub.identity()).hub_id == view.id


async def test_signing_in_takes_the_login_however_it_is_written(api: Api) -> None:
    await claim(api)
    for login in ("anna@example.org", "ANNA@EXAMPLE.ORG"):
        signed_in = await sign_in(api, login=login)
        assert signed_in.status_code == 200
        assert await works(api, signed_in.json()["access_token"])


async def test_a_wrong_password_and_an_unknown_login_are_told_alike(api: Api) -> None:
    await claim(api)
    wrong, unknown = await sign_in(api, password="wrong"), await sign_in(api, login="nobody")
    assert wrong.status_code == unknown.status_code == 401
    assert {**wrong.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}
    assert wrong.headers["www-authenticate"].startswith("Bearer")


async def test_both_are_checked_against_a_verifier(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is the same because the work is: one verification each."""
    await claim(api)
    checked: list[bool] = []
    verify = api.services.passwords.verify

    async def watched(verifier: str | None, password: str) -> bool:
        checked.append(verifier is not None)
        return await verify(verifier, password)

    monkeypatch.setattr(api.services.passwords, "verify", watched)
    await sign_in(api, password="wrong")
    await sign_in(api, login="nobody")
    assert checked == [True, False]


async def test_wrong_attempts_are_limited_per_account_even_with_the_right_password(api: Api) -> None:
    await claim(api)
    most = api.services.limits.login_attempts_per_account
    codes = [(await sign_in(api, password="wrong")).status_code for _ in range(most)]
    assert codes == [401] * most
    limited = await sign_in(api)
    assert (limited.status_code, limited.json()["code"]) == (429, "too_many_attempts")
    api.clock.set(api.clock.now().ms + int(limited.headers["retry-after"]) * 1000)
    assert (await sign_in(api)).status_code == 200


async def test_wrong_attempts_are_limited_per_address_over_all_accounts(api: Api) -> None:
    most = api.services.limits.login_attempts_per_address
    codes = await asyncio.gather(*(sign_in(api, login=f"person-{n}") for n in range(most + 5)))
    assert sum(a.status_code == 401 for a in codes) == min(most, MAX_WAITING)
    assert (await sign_in(api, login="somebody-else")).status_code == 429


async def test_right_passwords_do_not_count(api: Api) -> None:
    await claim(api)
    most = api.services.limits.login_attempts_per_account
    codes = [(await sign_in(api)).status_code for _ in range(most + 2)]
    assert set(codes) == {200}


async def test_an_access_token_ends_and_a_refresh_token_brings_the_next(api: Api) -> None:
    first = (await claim(api)).json()["session"]
    api.clock.set(api.clock.now().ms + first["expires_in"] * 1000 + 1)
    assert not await works(api, first["access_token"])
    second = (await refresh(api, first["refresh_token"])).json()
    assert second["session_id"] == first["session_id"]
    assert await works(api, second["access_token"])


async def test_a_refresh_ends_the_access_token_before(api: Api) -> None:
    first = (await claim(api)).json()["session"]
    await refresh(api, first["refresh_token"])
    assert not await works(api, first["access_token"])


async def test_a_refresh_repeated_at_once_gets_the_same_answer(api: Api) -> None:
    first = (await claim(api)).json()["session"]
    answers = await asyncio.gather(*(refresh(api, first["refresh_token"]) for _ in range(3)))
    assert len({a.content for a in answers}) == 1
    assert await works(api, answers[0].json()["access_token"])


async def test_a_refresh_token_seen_again_later_ends_its_session(api: Api) -> None:
    first = (await claim(api)).json()["session"]
    second = (await refresh(api, first["refresh_token"])).json()
    ended: list[str] = []
    api.services.credentials.on_ended.append(ended.append)
    api.clock.set(api.clock.now().ms + GRACE_MS)
    reused = await refresh(api, first["refresh_token"])
    assert (reused.status_code, reused.json()["code"]) == (401, "refresh_reused")
    assert ended == [first["session_id"]]
    assert not await works(api, second["access_token"])
    assert (await refresh(api, second["refresh_token"])).json()["code"] == "refresh_failed"


async def test_within_the_grace_only_the_last_token_traded_in_is_answered_again(api: Api) -> None:
    first = (await claim(api)).json()["session"]
    second = (await refresh(api, first["refresh_token"])).json()
    third = (await refresh(api, second["refresh_token"])).json()
    assert (await refresh(api, first["refresh_token"])).json()["code"] == "refresh_reused"
    assert not await works(api, third["access_token"])


async def test_a_session_that_never_stops_refreshing_fills_no_disk(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KEEP, "spent_refresh", Keep("few", most=3))
    tokens = [(await claim(api)).json()["session"]["refresh_token"]]
    for _ in range(6):
        tokens.append((await refresh(api, tokens[-1])).json()["refresh_token"])
    assert await api.store.read(lambda r: r.one("SELECT count(*) FROM spent_refresh")) == (3,)
    assert (await refresh(api, tokens[0])).json()["code"] == "refresh_failed"
    api.forward(GRACE_MS)
    assert (await refresh(api, tokens[3])).json()["code"] == "refresh_reused"


async def test_recovery_sets_a_password_and_ends_what_was_open(api: Api) -> None:
    claimed = (await claim(api)).json()
    body = {**ANNA, "password": OTHER_PASSWORD, "recovery_code": claimed["recovery_code"].lower()}
    recovered = await api.client().post("/api/sign-in/recover", json=body)
    assert recovered.status_code == 200
    assert not await works(api, claimed["session"]["access_token"])
    assert await works(api, recovered.json()["session"]["access_token"])
    assert (await sign_in(api)).status_code == 401
    assert (await sign_in(api, password=OTHER_PASSWORD)).status_code == 200
    assert (await api.client().post("/api/sign-in/recover", json=body)).status_code == 403
    assert recovered.json()["recovery_code"] != claimed["recovery_code"]


async def test_recovery_tells_a_wrong_code_and_an_unknown_login_alike_and_counts_them(api: Api) -> None:
    claimed = (await claim(api)).json()
    body = {**ANNA, "recovery_code": "0000-0000-0000-0000-0000"}
    wrong = await api.client().post("/api/sign-in/recover", json=body)
    unknown = await api.client().post("/api/sign-in/recover", json=body | {"login": "nobody"})
    assert wrong.status_code == unknown.status_code == 403
    assert {**wrong.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}
    for _ in range(api.services.limits.login_attempts_per_account):
        await api.client().post("/api/sign-in/recover", json=body)
    right = await api.client().post("/api/sign-in/recover", json=body | {"recovery_code": claimed["recovery_code"]})
    assert right.status_code == 429


async def test_whoever_holds_the_machine_recovers_without_the_code(api: Api) -> None:
    claimed = (await claim(api)).json()
    told: list[str] = []
    api.services.signing_in.on_recovered.append(lambda tx, by, account: told.append(account.id))
    code = await api.services.signing_in.recover_on_the_machine(login="anna@example.org", password=OTHER_PASSWORD)
    assert told == [claimed["session"]["account_id"]]
    assert code != claimed["recovery_code"]
    assert not await works(api, claimed["session"]["access_token"])
    assert (await sign_in(api, password=OTHER_PASSWORD)).status_code == 200
    audited = await api.store.read(lambda r: r.one("SELECT data FROM audit WHERE type='account.recovered'"))
    assert audited is not None
    assert b"true" in bytes(audited[0])


async def test_no_password_and_no_token_is_stored_as_it_is(api: Api) -> None:
    claimed = (await claim(api)).json()
    await refresh(api, claimed["session"]["refresh_token"])
    session = claimed["session"]
    canaries = (PASSWORD, session["access_token"], session["refresh_token"], claimed["recovery_code"])
    content = await asyncio.to_thread(lambda: b"".join(p.read_bytes() for p in api.store.path.parent.glob("*.db*")))
    assert [c for c in canaries if c.encode() in content] == []


async def test_the_command_on_the_machine_borrows_a_token(api: Api) -> None:
    claimed = (await claim(api)).json()
    account = api.services.credentials.accounts.get(claimed["session"]["account_id"])
    assert account is not None
    token = await api.services.sessions.lend(account, 60_000)
    assert await works(api, token)
    api.clock.set(api.clock.now().ms + 60_000)
    assert not await works(api, token)


async def test_a_verifier_of_older_parameters_is_renewed_at_the_next_sign_in(api: Api) -> None:
    old = await asyncio.to_thread(PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash, PASSWORD)
    accounts = api.services.accounts
    made = await api.store.write(lambda tx: accounts.create_in(tx, login="anna@example.org", name="Anna", verifier=old))
    assert (await sign_in(api)).status_code == 200
    now = api.services.credentials.accounts.get(made.account.id)
    assert now is not None
    assert now.verifier not in (None, old)
    assert (await sign_in(api)).status_code == 200
