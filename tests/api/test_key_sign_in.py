"""Signing in at a cloud by the key of an account at a hub; and what a proof of a key is worth to a stranger."""

import asyncio
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.accounts.challenges import CHALLENGE_MS
from tests.api import linked_hubs as hubs
from tests.api.harness import Api
from tests.api.linked_hubs import OVER, REFUSED, told
from tests.api.test_accounts_signing_in import PASSWORD
from tests.security.canaries import Canaries

STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


async def test_who_is_known_from_elsewhere_signs_in_by_their_key(
    hub: Api, cloud: Api, anna_at_hub: httpx2.AsyncClient
) -> None:
    home, account_id = await hubs.home_with(await cloud.person("olga"), cloud, await hubs.key_of(anna_at_hub))
    answer = await hubs.sign_in(cloud, await hubs.prove(anna_at_hub, await hubs.challenge(cloud)))
    assert (answer.status_code, answer.json()["account_id"]) == (200, account_id)
    assert answer.headers["cache-control"] == "no-store"
    there = cloud.client(answer.json()["access_token"])
    assert (await there.get(home)).json()["role"] == "admin"
    me = (await there.get("/api/me")).json()
    assert (me["login"], me["anonymous"], me["name"]) == (None, False, "Anna")
    assert [s["name"] for s in (await there.get("/api/me/sessions")).json()["items"]] == ["Anna's phone"]
    refreshed = await there.post("/api/sign-in/refresh", json={"refresh_token": answer.json()["refresh_token"]})
    assert refreshed.status_code == 200


async def test_they_may_give_that_account_a_login_and_are_at_home_there(cloud: Api, anna: Ed25519PrivateKey) -> None:
    home, account_id = await hubs.home_with(await cloud.person("olga"), cloud, await hubs.key_of(anna))
    there = await hubs.signed_in(cloud, anna)
    upgraded = await there.post("/api/me/upgrade", json={"login": "anna@there", "password": PASSWORD})
    assert (upgraded.status_code, bool(upgraded.json()["recovery_code"])) == (200, True)
    assert told(await there.post("/api/me/upgrade", json={"login": "b2", "password": PASSWORD}))[0] == 409
    body = {"login": "anna@there", "password": PASSWORD, "phone": "x"}
    session = await cloud.client().post("/api/sign-in", json=body)
    assert (session.status_code, session.json()["account_id"]) == (200, account_id)
    assert (await cloud.client(session.json()["access_token"]).get(home)).status_code == 200
    account = cloud.services.credentials.accounts.get(account_id)
    assert account is not None
    assert not account.elsewhere
    await cloud.store.write(lambda tx: cloud.services.people.called_in(tx, account_id, "Somebody"))
    assert (await there.get("/api/me")).json()["name"] == "Anna"
    assert (await hubs.signed_in(cloud, anna)) is not None


async def test_they_leave_without_a_password_as_they_came(cloud: Api, anna: Ed25519PrivateKey) -> None:
    _, account_id = await hubs.home_with(await cloud.person("olga"), cloud, await hubs.key_of(anna))
    there = await hubs.signed_in(cloud, anna)
    assert (await there.post("/api/me/delete", json={})).status_code == 204
    assert cloud.services.credentials.accounts.get(account_id) is None


async def test_a_hub_proves_only_the_keys_it_keeps(hub: Api, cloud: Api, anna_at_hub: httpx2.AsyncClient) -> None:
    await hubs.known(cloud, await hubs.key_of(anna_at_hub), "Anna")
    there = await hubs.signed_in(cloud, anna_at_hub)
    asked = await hubs.challenge(hub)
    body = {"audience": asked["audience"], "nonce": asked["nonce"], "purpose": "sign-in"}
    assert told(await there.post("/api/me/proofs", json=body)) == (409, "key_elsewhere")
    assert told(await anna_at_hub.post("/api/me/proofs", json=body)) == (
        400,
        "invalid",
    )  # of the hub for the hub itself


async def test_a_program_proves_nothing(hub: Api, cloud: Api, anna_at_hub: httpx2.AsyncClient) -> None:
    made = await anna_at_hub.post("/api/me/keys", json={"name": "script", "scopes": ["read", "control", "manage"]})
    program, asked = hub.client(made.json()["secret"]), await hubs.challenge(cloud)
    body = {"audience": asked["audience"], "nonce": asked["nonce"], "purpose": "sign-in"}
    assert told(await program.post("/api/me/proofs", json=body)) == (403, "person_only")
    assert told(await program.get("/api/me/public-keys")) == (403, "person_only")
    assert told(await program.get("/api/me/readers")) == (403, "person_only")


async def test_that_a_proof_was_made_is_in_the_trail_without_it(
    hub: Api, cloud: Api, anna_at_hub: httpx2.AsyncClient
) -> None:
    asked = await hubs.challenge(cloud)
    await hubs.prove(anna_at_hub, asked)
    rows = await hub.store.read(lambda r: r.all("SELECT data FROM audit WHERE type='account.proved'"))
    assert rows == [(b'{"audience":"%s","purpose":"sign-in"}' % asked["audience"].encode(),)]


# What a proof is worth to a stranger


async def test_a_proof_opens_one_session_at_one_hub_in_time(
    hub: Api, cloud: Api, anna_at_hub: httpx2.AsyncClient, tmp_path: Path
) -> None:
    key = await hubs.key_of(anna_at_hub)
    await hubs.known(cloud, key, "Anna")
    proven = await hubs.prove(anna_at_hub, await hubs.challenge(cloud))
    assert (await hubs.sign_in(cloud, proven)).status_code == 200
    assert told(await hubs.sign_in(cloud, proven)) == OVER
    late = await hubs.prove(anna_at_hub, await hubs.challenge(cloud))
    cloud.forward(CHALLENGE_MS)
    assert told(await hubs.sign_in(cloud, late)) == OVER
    fresh = await hubs.prove(anna_at_hub, await hubs.challenge(cloud))
    async with Api(tmp_path / "other") as other:
        await hubs.known(other, key, "Anna")
        assert told(await hubs.sign_in(other, fresh)) == REFUSED
        # Not even its own nonce, signed for another.
        asked = await hubs.challenge(other) | {"audience": (await hubs.challenge(cloud))["audience"]}
        assert told(await hubs.sign_in(other, await hubs.prove(anna_at_hub, asked))) == REFUSED
    assert (await hubs.sign_in(cloud, fresh)).status_code == 200


async def test_a_proof_of_before_a_restart_is_void(tmp_path: Path, anna: Ed25519PrivateKey) -> None:
    key = await hubs.key_of(anna)
    async with Api(tmp_path / "cloud") as before:
        await hubs.known(before, key, "Anna")
        proven = await hubs.prove(anna, await hubs.challenge(before))
    async with Api(tmp_path / "cloud") as after:
        assert told(await hubs.sign_in(after, proven)) == OVER
        assert (await hubs.signed_in(after, anna)) is not None


async def test_a_proof_is_for_one_purpose(cloud: Api, anna: Ed25519PrivateKey) -> None:
    await hubs.known(cloud, await hubs.key_of(anna), "Anna")
    eve = await cloud.person("eve")
    to_link = await hubs.prove(anna, await hubs.challenge(cloud), "link")
    refused = await hubs.sign_in(cloud, to_link)
    assert told(refused) == REFUSED
    assert "another purpose (link, not sign-in)" in refused.json()["detail"]
    to_sign_in = await hubs.prove(anna, await hubs.challenge(cloud), "sign-in")
    assert told(await eve.post("/api/me/public-keys", json=to_sign_in)) == REFUSED
    assert (await hubs.sign_in(cloud, to_sign_in)).status_code == 200


async def test_a_key_nobody_has_is_answered_as_a_wrong_proof_and_uses_nothing_up(
    cloud: Api, anna: Ed25519PrivateKey
) -> None:
    key = await hubs.key_of(anna)
    await hubs.known(cloud, key, "Anna")
    asked = await hubs.challenge(cloud)
    theirs = await hubs.prove(STRANGER, asked)
    unknown = await hubs.sign_in(cloud, theirs)
    wrong = await hubs.sign_in(cloud, theirs | {"public_key": key})
    assert told(unknown) == told(wrong) == REFUSED
    assert unknown.json() | {"request_id": ""} == wrong.json() | {"request_id": ""}
    assert (await hubs.sign_in(cloud, await hubs.prove(anna, asked))).status_code == 200


async def test_what_is_no_proof_is_refused_as_such(cloud: Api) -> None:
    body = {"public_key": "0" * 64, "proof": "A" * 142, "phone": "x"}
    assert told(await cloud.client().post("/api/sign-in/key", json=body)) == REFUSED
    for wrong in (
        {"public_key": "0" * 63},
        {"public_key": "G" * 64},
        {"public_key": "A" * 64},
        {"proof": "A" * 141},
        {"proof": "=" * 142},
        {"proof": 1},
        {"phone": ""},
        {"more": "x"},
    ):
        assert told(await cloud.client().post("/api/sign-in/key", json=body | wrong)) == (400, "invalid"), wrong


async def test_trying_is_limited_as_all_signing_in_is(cloud: Api, anna: Ed25519PrivateKey) -> None:
    await hubs.known(cloud, await hubs.key_of(anna), "Anna")
    most = cloud.services.limits.login_attempts_per_address
    for _ in range(most):  # who is right is not counted
        await hubs.signed_in(cloud, anna)
    body = {"public_key": "0" * 64, "proof": "A" * 142, "phone": "x"}
    answers = [told(await cloud.client().post("/api/sign-in/key", json=body)) for _ in range(most + 1)]
    assert answers == [REFUSED] * most + [(429, "too_many_attempts")]
    assert told(await cloud.client().post("/api/sign-in/key-challenges")) == (429, "too_many_attempts")


async def test_neither_proof_nor_nonce_is_written_anywhere(
    hub: Api, cloud: Api, anna_at_hub: httpx2.AsyncClient, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    await hubs.known(cloud, await hubs.key_of(anna_at_hub), "Anna")
    there, canaries = await cloud.person("anna"), Canaries()
    for purpose, used in (("sign-in", True), ("link", True), ("sign-in", False)):
        asked = await hubs.challenge(cloud)
        proven = await hubs.prove(anna_at_hub, asked, purpose)
        canaries.add(f"nonce {purpose} {used}", bytes.fromhex(asked["nonce"]))
        canaries.add(f"proof {purpose} {used}", proven["proof"].encode())
        if purpose == "sign-in":
            answer = await hubs.sign_in(cloud, proven if used else proven | {"public_key": "0" * 64})
            assert answer.status_code == (200 if used else 403)
            if used:
                await cloud.client(answer.json()["access_token"]).post("/api/sign-out")
        else:
            linked = await there.post("/api/me/public-keys", json=proven, headers={"Idempotency-Key": "k"})
            assert linked.status_code == 201
    written = capfd.readouterr()
    assert canaries.found_in((written.out + written.err).encode()) == set()
    for node in ("hub", "cloud"):
        database = tmp_path / node / "doorstep.db"
        assert await asyncio.to_thread(canaries.found_in_rows, database) == set()
