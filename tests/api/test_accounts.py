"""One's own account: profile, password, sessions, deletion, and making a full account of an anonymous one."""

import httpx2

from app.accounts.model import ANONYMOUS_MS, MAX_ANONYMOUS, REFRESH_MS
from app.errors import TooMany
from app.store.retention import KEEP
from app.store.tx import Tx
from tests.api.harness import Api
from tests.api.households import account_of, join, new_home
from tests.api.test_accounts_signing_in import ANNA, OTHER_PASSWORD, PASSWORD, claim, refresh, sign_in, works
from tests.api.things import bind


async def anna_of(api: Api) -> httpx2.AsyncClient:
    """The hub's owner, with a real session."""
    return api.client((await claim(api)).json()["session"]["access_token"])


async def another_phone(api: Api, name: str = "Tablet") -> httpx2.AsyncClient:
    """A further session of Anna's."""
    return api.client((await sign_in(api, phone=name)).json()["access_token"])


async def with_password(api: Api, login: str) -> httpx2.AsyncClient:
    """Somebody whose password is PASSWORD, signed in."""
    verifier = await api.services.passwords.hash(PASSWORD)
    await api.store.write(lambda tx: api.services.accounts.create_in(tx, login=login, name=login, verifier=verifier))
    return api.client((await sign_in(api, login=login)).json()["access_token"])


async def test_a_person_sees_and_renames_themselves(api: Api) -> None:
    anna = await anna_of(api)
    me = await anna.get("/api/me")
    assert (me.json()["login"], me.json()["hub_owner"], len(me.json()["public_key"])) == ("anna@example.org", True, 64)
    renamed = await anna.patch("/api/me", json={"name": "Anna K."}, headers={"If-Match": me.headers["etag"]})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Anna K.")
    stale = await anna.patch("/api/me", json={"name": "Anna"}, headers={"If-Match": me.headers["etag"]})
    assert stale.status_code == 412


async def test_sessions_are_listed_renamed_and_revoked(api: Api) -> None:
    anna = await anna_of(api)
    tablet = await another_phone(api)
    items = (await anna.get("/api/me/sessions")).json()["items"]
    assert [(s["name"], s["current"]) for s in items] == [("Tablet", False), ("Anna's phone", True)]
    path = f"/api/me/sessions/{items[0]['id']}"
    assert (await anna.patch(path, json={"name": "Kitchen"})).json()["name"] == "Kitchen"
    assert (await anna.delete(path)).status_code == 204
    assert (await tablet.get("/api/me")).status_code == 401
    assert (await anna.delete(path)).status_code == 404


async def test_nobody_touches_the_sessions_of_others(api: Api) -> None:
    anna, ben = await anna_of(api), await api.person("ben")
    hers = (await anna.get("/api/me/sessions")).json()["items"][0]["id"]
    for answer in (
        await ben.delete(f"/api/me/sessions/{hers}"),
        await ben.patch(f"/api/me/sessions/{hers}", json={"name": "x"}),
    ):
        assert answer.status_code == 404
    assert (await anna.get("/api/me")).status_code == 200


async def test_signing_out_ends_this_session_alone(api: Api) -> None:
    anna = await anna_of(api)
    tablet = await another_phone(api)
    assert (await tablet.post("/api/sign-out")).status_code == 204
    assert [(await phone.get("/api/me")).status_code for phone in (anna, tablet)] == [200, 401]


async def test_every_other_session_ends_at_once(api: Api) -> None:
    anna = await anna_of(api)
    others = [await another_phone(api, f"phone {n}") for n in range(3)]
    assert (await anna.post("/api/me/sessions/revoke-others")).json() == {"ended": 3}
    assert [(await phone.get("/api/me")).status_code for phone in (anna, *others)] == [200, 401, 401, 401]


async def test_the_session_used_longest_ago_gives_way_at_the_limit(api: Api) -> None:
    anna = await api.person("anna")
    account = api.services.credentials.accounts.get(account_of(anna))
    assert account is not None
    most = KEEP["sessions"].most or 0

    def many(tx: Tx) -> list[str]:
        opened = (api.services.sessions.open_in(tx, account, name=f"{n}", address="") for n in range(most))
        return [session.session_id for session in opened]

    opened = await api.store.write(many)
    kept = {s.id for s in api.services.credentials.sessions.values()}
    assert kept == set(opened)


async def test_changing_the_password_ends_the_other_sessions(api: Api) -> None:
    anna = await anna_of(api)
    tablet = await another_phone(api)
    wrong = await anna.put("/api/me/password", json={"old": "wrong", "new": OTHER_PASSWORD})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "password_wrong")
    changed = await anna.put("/api/me/password", json={"old": PASSWORD, "new": OTHER_PASSWORD})
    assert changed.status_code == 204
    assert [(await phone.get("/api/me")).status_code for phone in (anna, tablet)] == [200, 401]
    assert (await sign_in(api)).status_code == 401
    assert (await sign_in(api, password=OTHER_PASSWORD)).status_code == 200


async def test_a_stolen_session_does_not_get_to_guess_the_password(api: Api) -> None:
    anna = await anna_of(api)
    guesses = [
        (await anna.put("/api/me/password", json={"old": f"{n}", "new": OTHER_PASSWORD})).status_code
        for n in range(api.services.limits.login_attempts_per_account + 1)
    ]
    assert guesses[-1] == 429
    assert (await anna.post("/api/me/recovery-code", json={"password": PASSWORD})).status_code == 429


async def test_a_new_recovery_code_replaces_the_old_one(api: Api) -> None:
    claimed = (await claim(api)).json()
    anna = api.client(claimed["session"]["access_token"])
    assert (await anna.post("/api/me/recovery-code", json={"password": "wrong"})).status_code == 403
    renewed = (await anna.post("/api/me/recovery-code", json={"password": PASSWORD})).json()["recovery_code"]
    body = {**ANNA, "password": OTHER_PASSWORD}
    old = await api.client().post("/api/sign-in/recover", json=body | {"recovery_code": claimed["recovery_code"]})
    new = await api.client().post("/api/sign-in/recover", json=body | {"recovery_code": renewed})
    assert (old.status_code, new.status_code) == (403, 200)


async def test_the_members_of_ones_homes_are_told_of_a_recovery(api: Api) -> None:
    claimed = (await claim(api)).json()
    anna, ben = api.client(claimed["session"]["access_token"]), await api.person("ben")
    home = await new_home(anna)
    await join(api, home, ben, "member")
    await api.services.signing_in.recover_on_the_machine(login="anna@example.org", password=OTHER_PASSWORD)
    told = await api.store.read(lambda r: r.all("SELECT home_id, sees FROM events WHERE type='member.recovered'"))
    assert told == [(home.rpartition("/")[2], "member.read")]


async def test_a_recovery_takes_back_the_codes_somebody_may_have_made_for_themselves(api: Api) -> None:
    claimed = (await claim(api)).json()
    thief, ben = api.client(claimed["session"]["access_token"]), await api.person("ben")
    home = await new_home(thief)
    lamp = f"/api/devices/{await bind(api, home.rpartition('/')[2])}"
    bens = (await ben.post(f"{await new_home(ben)}/invitations", json={})).json()["code"]
    invited = (await thief.post(f"{home}/invitations", json={"role": "admin"})).json()["code"]
    offered = (await thief.post(f"{lamp}/shares", json={})).json()["code"]
    assert await api.services.signing_in.recover_on_the_machine(login=ANNA["login"], password=OTHER_PASSWORD)
    carl = await api.person("carl")
    assert (await carl.post("/api/invitations/accept", json={"code": invited})).json()["code"] == "invitation_ended"
    assert (await carl.post("/api/shares/accept", json={"code": offered})).json()["code"] == "share_ended"
    assert (await carl.post("/api/invitations/accept", json={"code": bens})).status_code == 200


async def test_an_account_goes_with_everything_that_is_only_its_own(api: Api) -> None:
    anna, ben = await anna_of(api), await with_password(api, "ben")
    home = await new_home(anna)
    await join(api, home, ben, "member")
    assert (await ben.post("/api/me/delete", json={"password": "wrong"})).status_code == 403
    assert (await ben.post("/api/me/delete", json={"password": PASSWORD})).status_code == 204
    assert (await ben.get("/api/me")).status_code == 401
    assert len((await anna.get(f"{home}/members")).json()["items"]) == 1
    assert (await sign_in(api, login="ben")).status_code == 401
    left = await api.store.read(lambda r: r.one("SELECT count(*) FROM secrets WHERE row LIKE 'account/%'"))
    assert left == (1,)


async def test_an_account_stays_while_homes_or_the_hub_are_its(api: Api) -> None:
    anna, ben = await anna_of(api), await with_password(api, "ben")
    await new_home(ben)
    kept = [await person.post("/api/me/delete", json={"password": PASSWORD}) for person in (anna, ben)]
    assert [a.json()["code"] for a in kept] == ["account_still_needed"] * 2
    assert [len(a.json()["facts"]["reasons"]) for a in kept] == [1, 1]
    assert [(await person.get("/api/me")).status_code for person in (anna, ben)] == [200, 200]


async def test_an_anonymous_account_becomes_a_full_one_and_stays_a_member(api: Api) -> None:
    anna, guest = await api.person("anna"), await api.person("visitor", anonymous=True)
    home = await new_home(anna)
    await join(api, home, guest, "member")
    body = {"login": "vera", "password": PASSWORD}
    taken = await guest.post("/api/me/upgrade", json=body | {"login": "ANNA"})
    assert taken.json()["code"] == "login_taken"
    upgraded = await guest.post("/api/me/upgrade", json=body)
    assert upgraded.status_code == 200
    assert (await guest.get("/api/me")).json()["anonymous"] is False
    assert (await guest.post("/api/me/upgrade", json=body | {"login": "vera2"})).status_code == 409
    vera = api.client((await sign_in(api, login="vera")).json()["access_token"])
    assert (await vera.get(home)).status_code == 200
    assert (await vera.post("/api/homes", json={"name": "Hers", "time_zone": "UTC"})).status_code == 201


async def test_a_repeat_of_what_asks_for_a_password_is_answered_as_the_first_was(api: Api) -> None:
    guest, anna = await api.person("visitor", anonymous=True), await anna_of(api)
    once = {"Idempotency-Key": "the answer was lost"}
    upgrade = {"login": "vera", "password": PASSWORD}
    renewal, change = {"password": PASSWORD}, {"old": PASSWORD, "new": OTHER_PASSWORD}
    codes = [await guest.post("/api/me/upgrade", json=upgrade, headers=once) for _ in range(2)]
    assert [(code.status_code, code.json()) for code in codes] == [(200, codes[0].json())] * 2
    new = [await anna.post("/api/me/recovery-code", json=renewal, headers=once) for _ in range(2)]
    assert [(code.status_code, code.json()) for code in new] == [(200, new[0].json())] * 2
    once = {"Idempotency-Key": "and again"}
    assert [(await anna.put("/api/me/password", json=change, headers=once)).status_code for _ in range(2)] == [204] * 2
    reused = await anna.put("/api/me/password", json=change | {"new": PASSWORD}, headers=once)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_visitor_does_not_get_to_list_logins(api: Api) -> None:
    await api.person("anna")
    guest = await api.person("visitor", anonymous=True)
    body = {"login": "anna", "password": PASSWORD}
    tried = [
        (await guest.post("/api/me/upgrade", json=body)).status_code
        for _ in range(api.services.limits.login_attempts_per_address + 1)
    ]
    assert tried == [409] * (len(tried) - 1) + [429]


async def test_an_anonymous_account_ends_by_itself(api: Api) -> None:
    anna, guest = await api.person("anna"), await api.person("visitor", anonymous=True)
    home = await new_home(anna)
    await join(api, home, guest, "member")
    api.clock.set(api.clock.now().ms + ANONYMOUS_MS)
    assert (await guest.get("/api/me")).status_code == 401
    await api.store.housekeeping.run()
    assert len((await anna.get(f"{home}/members")).json()["items"]) == 1
    assert api.services.accounts.name_of(account_of(guest)) == ""


async def test_there_are_so_many_anonymous_accounts_and_no_more(api: Api) -> None:
    def fill(tx: Tx) -> None:
        for n in range(MAX_ANONYMOUS):
            api.services.accounts.create_anonymous_in(tx, name=f"visitor {n}")

    await api.store.write(fill)
    refused = ""
    try:
        await api.person("one more", anonymous=True)
    except TooMany as error:
        refused = error.code
    assert refused == "too_many"


async def test_a_session_nobody_refreshed_for_so_long_is_removed(api: Api) -> None:
    session = (await claim(api)).json()["session"]
    api.clock.set(api.clock.now().ms + REFRESH_MS)
    assert (await refresh(api, session["refresh_token"])).status_code == 401
    await api.store.housekeeping.run()
    assert session["session_id"] not in api.services.credentials.sessions


async def test_what_was_signed_in_still_is_after_a_restart(api: Api) -> None:
    session = (await claim(api)).json()["session"]
    assert await works(api, session["access_token"])
    again = type(api.services)(api.store)
    for resident in (again.credentials.accounts, again.credentials.sessions, again.credentials.keys):
        await api.store.read(resident.load)
    actor = again.credentials.actor_of(session["access_token"].encode(), api.clock.now())
    assert actor == api.actor(session["access_token"])
    await again.stop()
