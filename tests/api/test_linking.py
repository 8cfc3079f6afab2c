"""One person with accounts at a hub and a cloud, who are made one."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.policy import Action, Actor, Role, Verdict, allowed
from app.store.retention import KEEP
from pairing.methods.method import SearchContext
from tests.api import linked_hubs as hubs
from tests.api.fake_methods import Joining
from tests.api.harness import Api
from tests.api.households import account_of, join, new_home
from tests.api.linked_hubs import OVER, REFUSED, id_of, told
from tests.api.test_accounts_signing_in import PASSWORD
from tests.api.test_pairing_several import begun, until
from tests.api.things import bind


async def test_what_was_known_under_a_linked_key_is_the_persons(cloud: Api, anna_at_hub: httpx2.AsyncClient) -> None:
    there, olga, key = await cloud.person("anna"), await cloud.person("olga"), await hubs.key_of(anna_at_hub)
    home, ghost = await hubs.home_with(olga, cloud, key, Role.MEMBER)
    assert (await olga.post(f"{home}/hand-over", json={"account_id": ghost})).status_code == 200
    assert (await there.get(home)).status_code == 404
    linked = await hubs.link(cloud, there, anna_at_hub)
    assert linked.status_code == 201, linked.text
    assert linked.json() | {"linked_at": ""} == {"public_key": key, "own": False, "signs_in": True, "linked_at": ""}
    assert (await there.get(home)).json()["role"] == "owner"
    members = (await there.get(f"{home}/members")).json()["items"]
    assert {(m["account_id"], m["role"]) for m in members} >= {(account_of(there), "owner")}
    assert ghost not in str(members)
    assert cloud.services.credentials.accounts.get(ghost) is None
    assert cloud.services.standings.homes_of.get(ghost) is None
    assert cloud.services.standings.owner_of(id_of(home)) == account_of(there)
    keys = await cloud.store.read(lambda r: cloud.services.people.keys_in(r, account_of(there)))
    assert keys == [await hubs.key_of(there), key]


async def test_a_linked_key_signs_in_to_the_account_it_was_linked_to(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there = await cloud.person("anna")
    assert (await hubs.link(cloud, there, anna)).status_code == 201
    answer = await hubs.sign_in(cloud, await hubs.prove(anna, await hubs.challenge(cloud)))
    assert answer.json()["account_id"] == account_of(there)


async def test_what_sync_tells_of_the_key_later_is_the_same_persons(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there, key = await cloud.person("anna"), await hubs.key_of(anna)
    assert (await hubs.link(cloud, there, anna)).status_code == 201
    home, account_id = await hubs.home_with(await cloud.person("olga"), cloud, key)
    assert account_id == account_of(there)
    assert (await there.get(home)).json()["role"] == "admin"


async def test_shares_go_with_the_key(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there, rosa, key = await cloud.person("anna"), await cloud.person("rosa"), await hubs.key_of(anna)
    olga = await cloud.person("olga")
    mine, ghost = await hubs.home_with(olga, cloud, key)
    lamp = await bind(cloud, id_of(mine), "d-mine")
    others = await new_home(olga)
    heater = await bind(cloud, id_of(others), "d-others")
    given = await olga.post(f"/api/devices/{lamp}/shares", json={"login": "rosa"})
    got = await olga.post(f"/api/devices/{heater}/shares", json={"level": "control"})
    ended = await olga.post(f"/api/devices/{heater}/shares", json={"level": "view"})
    shares = {name: made.json()["share"]["id"] for name, made in (("given", given), ("got", got), ("ended", ended))}
    await rosa.post(f"/api/me/shares/{shares['given']}/accept")
    await cloud.store.write(
        lambda tx: [
            tx.run("UPDATE shares SET giver_id=? WHERE id=?", (ghost, shares["given"])),
            tx.run("UPDATE shares SET receiver_id=?,state='ended' WHERE id=?", (ghost, shares["ended"])),
        ]
    )
    code = got.json()["code"]
    guest = await hubs.signed_in(cloud, anna)
    assert (await guest.post("/api/shares/accept", json={"code": code})).status_code == 200
    assert (await guest.post("/api/sign-out")).status_code == 204

    assert (await hubs.link(cloud, there, anna)).status_code == 201
    received = (await there.get("/api/me/shares")).json()["items"]
    assert [share["id"] for share in received] == [shares["got"]]
    rows = await cloud.store.read(lambda r: r.all("SELECT id,giver_id,receiver_id,state FROM shares"))
    assert {row[0]: row[1:] for row in rows} == {
        shares["given"]: (account_of(there), account_of(rosa), "accepted"),
        shares["got"]: (account_of(olga), account_of(there), "accepted"),
        shares["ended"]: (account_of(olga), account_of(there), "ended"),
    }
    assert await may(cloud, there, heater) is Verdict.YES
    assert await may(cloud, rosa, lamp) is Verdict.YES
    held = {share.giver_id for share in cloud.services.shares.of_account(account_of(rosa))}
    assert held == {account_of(there)}
    # With the giver go the shares they gave.
    assert (await there.post(f"{mine}/leave")).status_code == 204
    assert await may(cloud, rosa, lamp) is Verdict.HIDDEN


async def may(at: Api, who: httpx2.AsyncClient, device: str) -> Verdict:
    """Whether they may switch it, by memory and by disk, which must agree."""
    actor, now, access = Actor(account_of(who)), at.clock.now(), at.services.devices.access
    by_disk = await at.store.read(lambda r: access.device_in(r, actor, device))
    verdicts = {
        allowed(actor, Action.DEVICE_CONTROL, resource, now).verdict
        for resource in (access.device(actor, device), by_disk)
    }
    assert len(verdicts) == 1
    return verdicts.pop()


async def test_what_one_lent_the_other_ends(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there, key = await cloud.person("anna"), await hubs.key_of(anna)
    home = await new_home(there)
    lamp = await bind(cloud, id_of(home))
    offer = (await there.post(f"/api/devices/{lamp}/shares", json={})).json()
    guest_id = await hubs.known(cloud, key, "Anna")
    guest = await hubs.signed_in(cloud, anna)
    assert (await guest.post("/api/shares/accept", json={"code": offer["code"]})).status_code == 200
    await guest.post("/api/sign-out")
    assert (await hubs.link(cloud, there, anna)).status_code == 201
    assert (await there.get(f"{home}/shares/{offer['share']['id']}")).json()["state"] == "ended"
    assert list(cloud.services.shares.of_account(account_of(there))) == []
    assert guest_id not in list(cloud.services.shares.receivers())


async def test_invitations_go_with_the_key(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there, ben = await cloud.person("anna"), await cloud.person("ben")
    home, _ = await hubs.home_with(await cloud.person("olga"), cloud, await hubs.key_of(anna))
    guest = await hubs.signed_in(cloud, anna)
    made = (await guest.post(f"{home}/invitations", json={"role": "member"})).json()
    await guest.post("/api/sign-out")
    assert (await hubs.link(cloud, there, anna)).status_code == 201
    # Who made it can still make it, and so it can still be taken up.
    accepted = await ben.post("/api/invitations/accept", json={"code": made["code"]})
    assert accepted.status_code == 200, accepted.text
    rows = await cloud.store.read(lambda r: r.all("SELECT created_by,taken_by FROM invitations"))
    assert rows == [(account_of(there), account_of(ben))]


async def test_all_of_it_is_there_after_a_restart(tmp_path: Path, anna: Ed25519PrivateKey) -> None:
    async with Api(tmp_path / "cloud") as before:
        there = await before.person("anna")
        home, ghost = await hubs.home_with(await before.person("olga"), before, await hubs.key_of(anna))
        assert (await hubs.link(before, there, anna)).status_code == 201
        token = account_of(there)
    async with Api(tmp_path / "cloud") as after:
        assert (await after.client(token).get(home)).json()["role"] == "admin"
        assert after.services.credentials.accounts.get(ghost) is None
        assert ((id_of(home), ghost) in after.services.standings.members) is False
        assert (await hubs.signed_in(after, anna)) is not None


async def test_two_members_of_one_home_do_not_become_one(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there, olga = await cloud.person("anna"), await cloud.person("olga")
    home, ghost = await hubs.home_with(olga, cloud, await hubs.key_of(anna))
    await join(cloud, home, there, "member")
    refused = await hubs.link(cloud, there, anna)
    assert told(refused) == (409, "both_members")
    assert refused.json()["facts"]["homes"] == [id_of(home)]
    assert refused.json()["hint"]
    members = (await olga.get(f"{home}/members")).json()["items"]
    assert {(m["account_id"], m["role"]) for m in members} == {
        (account_of(olga), "owner"),
        (account_of(there), "member"),
        (ghost, "admin"),
    }
    assert len((await there.get("/api/me/public-keys")).json()["items"]) == 1
    # As the hint says.
    assert (await there.post(f"{home}/leave")).status_code == 204
    assert (await hubs.link(cloud, there, anna)).status_code == 201
    assert (await there.get(home)).json()["role"] == "admin"


async def test_a_key_of_somebody_who_signs_in_here_is_taken(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there = await cloud.person("anna")
    account_id = await hubs.known(cloud, await hubs.key_of(anna), "Anna")
    guest = await hubs.signed_in(cloud, anna)
    assert told(await hubs.link(cloud, there, anna)) == (409, "key_taken")
    assert (await guest.get("/api/me")).json()["id"] == account_id
    await guest.post("/api/sign-out")
    assert (await hubs.link(cloud, there, anna)).status_code == 201


async def test_a_key_of_an_account_made_here_is_taken(cloud: Api) -> None:
    there, ben = await cloud.person("anna"), await cloud.person("ben")
    private = await cloud.store.read(lambda r: cloud.store.vault.fetch(r, f"account/{account_of(ben)}/key"))
    key = Ed25519PrivateKey.from_private_bytes(private or b"")
    assert told(await hubs.link(cloud, there, key)) == (409, "key_taken")
    # Whether they are signed in at the moment or not.
    assert (await ben.post("/api/sign-out")).status_code == 204
    assert told(await hubs.link(cloud, there, key)) == (409, "key_taken")
    assert account_of(ben) in cloud.services.credentials.accounts


async def test_all_keys_of_who_was_known_from_elsewhere_are_the_persons(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there, other = await cloud.person("anna"), Ed25519PrivateKey.generate()
    await hubs.known(cloud, await hubs.key_of(anna), "Anna")
    guest = await hubs.signed_in(cloud, anna)
    assert (await hubs.link(cloud, guest, other)).status_code == 201
    await guest.post("/api/sign-out")
    assert (await hubs.link(cloud, there, anna)).status_code == 201
    answer = await hubs.sign_in(cloud, await hubs.prove(other, await hubs.challenge(cloud)))
    assert answer.json()["account_id"] == account_of(there)


async def test_linking_the_same_key_again_changes_nothing(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there = await cloud.person("anna")
    first = await hubs.link(cloud, there, anna)
    again = await hubs.link(cloud, there, anna)
    assert (first.status_code, again.status_code) == (201, 201)
    assert len((await there.get("/api/me/public-keys")).json()["items"]) == 2


async def test_a_repeat_of_linking_is_answered_as_the_first(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there = await cloud.person("anna")
    proven = await hubs.prove(anna, await hubs.challenge(cloud), "link")
    once = {"Idempotency-Key": "once"}
    answers = [await there.post("/api/me/public-keys", json=proven, headers=once) for _ in range(2)]
    assert [a.status_code for a in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert told(await there.post("/api/me/public-keys", json=proven)) == OVER


async def test_who_has_no_login_links_nothing(cloud: Api, anna: Ed25519PrivateKey) -> None:
    guest = await cloud.person("guest", anonymous=True)
    assert told(await hubs.link(cloud, guest, anna)) == (403, "refused")


async def test_a_guest_without_a_login_is_known_elsewhere_until_they_end(hub: Api, cloud: Api) -> None:
    guest = await hub.person("guest", anonymous=True)
    await hubs.known(cloud, await hubs.key_of(guest), "Guest", anonymous=True)
    there = await hubs.signed_in(cloud, guest)
    assert (await there.get("/api/me")).json()["anonymous"]
    proven = await hubs.prove(guest, await hubs.challenge(cloud))
    ends = cloud.services.credentials.accounts.get((await there.get("/api/me")).json()["id"])
    assert ends is not None
    assert ends.expires_at is not None
    await cloud.store.write(lambda tx: tx.run("UPDATE accounts SET expires_at=? WHERE id=?", (tx.now, ends.id)))
    assert told(await hubs.sign_in(cloud, proven)) == REFUSED


async def test_an_account_has_so_many_keys(cloud: Api) -> None:
    there, most = await cloud.person("anna"), KEEP["account_keys"].most or 0
    for _ in range(most - 1):
        assert (await hubs.link(cloud, there, Ed25519PrivateKey.generate())).status_code == 201
    one_more = Ed25519PrivateKey.generate()
    assert told(await hubs.link(cloud, there, one_more)) == (429, "too_many")
    await hubs.known(cloud, await hubs.key_of(one_more), "Anna")
    assert told(await hubs.link(cloud, there, one_more)) == (429, "too_many")


async def test_an_account_is_in_so_many_homes(
    cloud: Api, anna: Ed25519PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.homes.linked.MAX_HOMES_PER_ACCOUNT", 1)
    there = await cloud.person("anna")
    await new_home(there)
    await hubs.home_with(await cloud.person("olga"), cloud, await hubs.key_of(anna))
    assert told(await hubs.link(cloud, there, anna)) == (409, "too_many_homes")
    assert len((await there.get("/api/homes")).json()["items"]) == 1


async def test_the_people_of_the_home_and_the_person_are_told(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there, key = await cloud.person("anna"), await hubs.key_of(anna)
    home, ghost = await hubs.home_with(await cloud.person("olga"), cloud, key)
    assert (await hubs.link(cloud, there, anna)).status_code == 201
    rows = await cloud.store.read(
        lambda r: r.all("SELECT type,entity_id,home_id,account_id FROM events ORDER BY seq DESC LIMIT 4")
    )
    me = account_of(there)
    assert rows[::-1] == [
        ("member.left", ghost, id_of(home), None),
        ("member.joined", me, id_of(home), None),
        ("account.deleted", ghost, None, ghost),
        ("account.key_linked", me, None, me),
    ]


# Keys that name one


async def test_keys_are_listed_and_unlinked(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there, ben, key = await cloud.person("anna"), await cloud.person("ben"), await hubs.key_of(anna)
    await hubs.link(cloud, there, anna)
    own = await hubs.key_of(there)
    listed = (await there.get("/api/me/public-keys")).json()["items"]
    assert [(k["public_key"], k["own"], k["signs_in"]) for k in listed] == [(own, True, True), (key, False, True)]
    assert (await ben.delete(f"/api/me/public-keys/{key}")).status_code == 404
    assert told(await there.delete(f"/api/me/public-keys/{own}")) == (409, "own_key")
    proven = await hubs.prove(anna, await hubs.challenge(cloud))
    assert (await there.delete(f"/api/me/public-keys/{key}")).status_code == 204
    assert (await there.delete(f"/api/me/public-keys/{key}")).status_code == 404
    assert told(await hubs.sign_in(cloud, proven)) == REFUSED


async def test_a_key_by_which_a_home_knows_one_stays(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there, key = await cloud.person("anna"), await hubs.key_of(anna)
    home, _ = await hubs.home_with(await cloud.person("olga"), cloud, key)
    await hubs.link(cloud, there, anna)
    row = "INSERT INTO sync_entities(home_id,kind,id,seq,dead_at,body) VALUES(?,'member',?,1,NULL,x'')"
    await cloud.store.write(lambda tx: tx.run(row, (id_of(home), key)))
    refused = await there.delete(f"/api/me/public-keys/{key}")
    assert told(refused) == (409, "key_needed")
    assert refused.json()["facts"]["reasons"] == ["it is known by it in the home Lindenweg"]
    assert (await there.post(f"{home}/leave")).status_code == 204
    assert (await there.delete(f"/api/me/public-keys/{key}")).status_code == 204


async def test_after_a_recovery_no_key_signs_in_until_it_is_linked_again(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there = await cloud.person("anna")
    await hubs.link(cloud, there, anna)
    await cloud.services.signing_in.recover_on_the_machine(login="anna", password=PASSWORD)
    assert told(await hubs.sign_in(cloud, await hubs.prove(anna, await hubs.challenge(cloud)))) == REFUSED
    session = await cloud.client().post("/api/sign-in", json={"login": "anna", "password": PASSWORD, "phone": "x"})
    back = cloud.client(session.json()["access_token"])
    keys = (await back.get("/api/me/public-keys")).json()["items"]
    assert [k["signs_in"] for k in keys] == [False, False]
    assert (await hubs.link(cloud, back, anna)).status_code == 201
    assert (await hubs.sign_in(cloud, await hubs.prove(anna, await hubs.challenge(cloud)))).status_code == 200


async def test_a_failed_link_leaves_nothing_half_made(cloud: Api, anna: Ed25519PrivateKey) -> None:
    there = await cloud.person("anna")
    home, ghost = await hubs.home_with(await cloud.person("olga"), cloud, await hubs.key_of(anna))

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("the disk is full")

    before = await everything(cloud)
    cloud.services.linking.on_linked.append(fail)
    with contextlib.suppress(sqlite3.OperationalError):
        assert (await hubs.link(cloud, there, anna)).status_code >= 500
    cloud.services.linking.on_linked.pop()
    assert await everything(cloud) == before
    assert ghost in cloud.services.standings.members_of[id_of(home)]
    assert (await hubs.link(cloud, there, anna)).status_code == 201


async def everything(at: Api) -> list[list[tuple[Any, ...]]]:
    """The rows of what linking touches."""
    tables = ("accounts", "account_keys", "members", "shares", "invitations", "readers")
    return await at.store.read(lambda r: [r.all(f"SELECT * FROM {table}") for table in tables])


# What somebody had begun


class Quiet(Joining):
    """Hears nothing, and waits."""

    async def search(self, context: SearchContext) -> None:
        await context.ready()
        await asyncio.Event().wait()


async def test_a_pairing_under_way_ends_and_one_that_ended_stays_with_the_home(
    api: Api, anna: Ed25519PrivateKey
) -> None:
    await api.services.onboarding.open([Quiet("ap")])
    there, olga = await api.person("anna"), await api.person("olga")
    home, ghost = await hubs.home_with(olga, api, await hubs.key_of(anna))
    guest = await hubs.signed_in(api, anna)
    paths = [await begun(guest, home, method="ap") for _ in range(2)]
    assert (await guest.post(f"{paths[0]}/cancel")).is_success
    await until(olga, paths[0], "cancelled")
    await guest.post("/api/sign-out")
    assert (await hubs.link(api, there, anna)).status_code == 201
    assert (await until(olga, paths[1], "cancelled"))["state"] == "cancelled"
    rows = await api.store.read(lambda r: r.all("SELECT account_id FROM pairing_sessions"))
    assert rows == [(account_of(there),)] * 2
    assert (await olga.get(paths[0])).json()["account_id"] == account_of(there)
    assert ghost not in (await olga.get(paths[0])).text


async def test_a_move_to_another_wifi_goes_on_as_theirs(api: Api, anna: Ed25519PrivateKey) -> None:
    there, olga = await api.person("anna"), await api.person("olga")
    home, ghost = await hubs.home_with(olga, api, await hubs.key_of(anna))
    row = "INSERT INTO wifi_changes(id,home_id,account_id,ssid,state,created_at,expires_at) VALUES('w',?,?,'x',?,1,2)"
    await api.store.write(lambda tx: tx.run(row, (id_of(home), ghost, "open")))
    assert (await hubs.link(api, there, anna)).status_code == 201
    assert await api.store.read(lambda r: r.all("SELECT account_id FROM wifi_changes")) == [(account_of(there),)]
