"""A hub enrols with a cloud: told a code by its owner, confirmed at the cloud; listed, renamed, revoked."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.caller import BY_SYSTEM
from app.store.hub import new_node_id
from app.store.tx import Tx
from app.sync.enrolment import wire
from app.sync.enrolment.door import NotEnrolled
from app.sync.enrolment.joined import KEY_ROW, SEAL_ROW, SECRET_ROW
from app.sync.enrolment.model import CODE_MS, Revoked, Superseded
from tests.api.harness import Api
from tests.sync.pair import WAIT, Ends, ends, enrolled, joined, link_of, owner

MSGPACK = {"Content-Type": wire.MEDIA_TYPE}


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Ends]:
    async with ends(tmp_path) as made:
        yield made


def said(code: str, key: Ed25519PrivateKey | None = None, **other: Any) -> wire.Enrol:
    public = (key or Ed25519PrivateKey.generate()).public_key().public_bytes_raw()
    hub = wire.Enrol(code, "h-strange", "Strange", public, bytes(32), "node-1", 1, bytes(32))
    return msgspec.structs.replace(hub, **other)


async def post(api: Api, path: str, body: msgspec.Struct | bytes, token: str | None = None) -> httpx2.Response:
    content = body if isinstance(body, bytes) else wire.encode(body)
    return await api.client(token).post(path, content=content, headers=MSGPACK)


async def test_both_ends_show_the_same_number_and_the_owner_confirms(both: Ends) -> None:
    known = enrolled(both.hub)
    path, shown = await both.ask()
    assert shown["state"] == "asked"
    assert shown["name"] == "Doorstep"
    seen = (await both.at_cloud.get(path)).json()
    assert (seen["state"], seen["hub_id"], seen["number"]) == ("asked", both.hub_id, shown["number"])
    assert len(shown["number"]) == 6
    assert (await both.at_cloud.get("/api/hubs")).json()["items"] == []
    confirmed = await both.at_cloud.post(f"{path}/confirm")
    assert confirmed.json()["id"] == both.hub_id
    async with asyncio.timeout(WAIT):
        await known.wait()
    assert (await both.at_hub.get("/api/cloud")).json()["state"] == "enrolled"
    assert (await both.at_cloud.get(path)).json()["state"] == "confirmed"
    assert both.hub.services.enrolment.door.cloud_id == both.cloud.services.hub.view().id
    await both.hub.services.enrolment.door.session()
    assert (await both.at_hub.get("/api/cloud")).json()["contact_at"]


async def test_the_code_is_shown_once_and_kept_as_a_hash(both: Ends) -> None:
    made = await both.code()
    assert made["qr"].startswith("<svg")
    assert made["code"].replace("-", "") in made["link"].replace("-", "")
    assert "code" not in (await both.at_cloud.get(f"/api/hubs/enrolments/{made['id']}")).json()
    rows = await both.cloud.store.read(lambda reader: reader.all("SELECT * FROM enrolments"))
    assert made["code"] not in str(rows)


async def test_the_private_keys_stand_in_the_vault_and_nowhere_else(both: Ends) -> None:
    await both.enrol()
    vault = both.hub.store.vault
    key, seal, secret = await both.hub.store.read(
        lambda reader: [vault.fetch(reader, row) for row in (KEY_ROW, SEAL_ROW, SECRET_ROW)]
    )
    assert key is not None
    assert seal is not None
    assert secret is None  # it has served
    hub = both.cloud.services.enrolment.hubs.rows.get(both.hub_id)
    assert hub is not None
    assert hub.public_key == Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
    dump = await both.hub.store.read(lambda reader: [reader.all(f"SELECT * FROM {t}") for t in ("clouds", "audit")])
    assert key.hex() not in str(dump)
    assert repr(key)[2:-1] not in str(dump)


@pytest.mark.parametrize("code", ["K7QF-29MD-XW4T", "-", "O" * 99])
async def test_a_wrong_code_opens_nothing(both: Ends, code: str) -> None:
    await both.code()
    answer = await both.at_hub.post("/api/cloud", json={"code": link_of(code)})
    assert (answer.status_code, answer.json()["code"]) == (409, "enrolment_code_unknown")
    assert (await both.at_hub.get("/api/cloud")).json()["state"] == "none"


async def test_wrong_codes_are_counted(both: Ends) -> None:
    right = (await both.code())["code"]
    for _ in range(30):
        assert (await post(both.cloud, "/sync/enrol", said("WRNG-WRNG-WRNG"))).status_code == 404
    answer = await post(both.cloud, "/sync/enrol", said(right))
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")


async def test_a_code_is_good_once(both: Ends) -> None:
    code = (await both.code())["code"]
    assert (await post(both.cloud, "/sync/enrol", said(code))).status_code == 200
    answer = await post(both.cloud, "/sync/enrol", said(code, hub_id="h-other"))
    assert (answer.status_code, answer.json()["code"]) == (410, "enrolment_ended")


async def test_a_code_ends_after_a_quarter_of_an_hour(both: Ends) -> None:
    made = await both.code()
    both.cloud.forward(CODE_MS)
    assert (await post(both.cloud, "/sync/enrol", said(made["code"]))).json()["code"] == "enrolment_ended"
    assert (await both.at_cloud.get(f"/api/hubs/enrolments/{made['id']}")).json()["state"] == "expired"


async def test_what_nobody_confirms_in_time_is_refused(both: Ends) -> None:
    path, _ = await both.ask()
    both.cloud.forward(CODE_MS)
    answer = await both.at_cloud.post(f"{path}/confirm")
    assert (answer.status_code, answer.json()["code"]) == (410, "enrolment_ended")
    await until(both, "refused")


async def until(both: Ends, state: str) -> dict[str, Any]:
    """The hub's cloud once it is in `state`, of which an event is told."""
    async with asyncio.timeout(WAIT):
        while True:
            shown: dict[str, Any] = (await both.at_hub.get("/api/cloud")).json()
            if shown["state"] == state:
                return shown
            await asyncio.sleep(0.01)


async def test_a_refused_hub_is_told_and_may_try_again(both: Ends) -> None:
    path, _ = await both.ask()
    assert (await both.at_cloud.post(f"{path}/refuse")).status_code == 204
    await until(both, "refused")
    assert await both.hub.store.read(lambda r: r.all("SELECT row FROM secrets WHERE row LIKE 'cloud/%'")) == []
    await both.enrol()


async def test_confirming_before_a_hub_has_asked(both: Ends) -> None:
    made = await both.code()
    answer = await both.at_cloud.post(f"/api/hubs/enrolments/{made['id']}/confirm")
    assert (answer.status_code, answer.json()["code"]) == (409, "enrolment_not_asked")


async def test_nobody_sees_or_confirms_another_persons_enrolment(both: Ends) -> None:
    path, _ = await both.ask()
    mallory = await both.cloud.person("mallory")
    for method, way in (("GET", path), ("POST", f"{path}/confirm"), ("POST", f"{path}/refuse")):
        assert (await mallory.request(method, way)).status_code == 404
    assert (await both.at_cloud.get(path)).json()["state"] == "asked"


async def test_nobody_sees_or_changes_another_persons_hub(both: Ends) -> None:
    await both.enrol()
    mallory, way = await both.cloud.person("mallory"), f"/api/hubs/{both.hub_id}"
    assert (await mallory.get("/api/hubs")).json()["items"] == []
    assert (await mallory.get(way)).status_code == 404
    assert (await mallory.patch(way, json={"name": "Mine"})).status_code == 404
    assert (await mallory.delete(way)).status_code == 404
    assert (await both.at_cloud.get(way)).json()["revoked_at"] is None


async def test_a_hub_is_not_taken_over_while_somebody_else_has_it(both: Ends) -> None:
    await both.enrol()
    mallory = await both.cloud.person("mallory")
    made = await both.code(mallory)
    await post(both.cloud, "/sync/enrol", said(made["code"], hub_id=both.hub_id))
    answer = await mallory.post(f"/api/hubs/enrolments/{made['id']}/confirm")
    assert (answer.status_code, answer.json()["code"]) == (409, "hub_taken")
    await both.hub.services.enrolment.door.session()


async def test_a_hub_that_was_revoked_may_be_somebody_elses_then(both: Ends) -> None:
    await both.enrol()
    await both.at_cloud.delete(f"/api/hubs/{both.hub_id}")
    bert = await both.cloud.person("bert")
    made = await both.code(bert)
    await post(both.cloud, "/sync/enrol", said(made["code"], hub_id=both.hub_id))
    assert (await bert.post(f"/api/hubs/enrolments/{made['id']}/confirm")).status_code == 200
    assert (await both.at_cloud.get("/api/hubs")).json()["items"] == []


async def test_renaming_states_the_version(both: Ends) -> None:
    await both.enrol()
    way = f"/api/hubs/{both.hub_id}"
    etag = (await both.at_cloud.get(way)).headers["etag"]
    renamed = await both.at_cloud.patch(way, json={"name": "Lindenweg"}, headers={"If-Match": etag})
    assert renamed.json()["name"] == "Lindenweg"
    assert renamed.headers["etag"] != etag
    stale = await both.at_cloud.delete(way, headers={"If-Match": etag})
    assert stale.status_code == 412
    assert (await both.at_cloud.get("/api/hubs")).json()["items"][0]["name"] == "Lindenweg"


async def test_a_revoked_hub_is_out_at_once_and_knows(both: Ends) -> None:
    await both.enrol()
    door, ended = both.hub.services.enrolment.door, []
    both.cloud.services.enrolment.tokens.on_ended.append(lambda *life: ended.append(life))
    token = (await door.session()).token
    assert (await both.at_cloud.delete(f"/api/hubs/{both.hub_id}")).status_code == 204
    node = both.cloud.services.enrolment.hubs.rows.get(both.hub_id)
    assert node is not None
    assert ended == [(both.hub_id, node.node)]
    assert (await post(both.cloud, "/sync/leave", b"", token)).status_code == 401
    with pytest.raises(Revoked):
        await door.post("/sync/leave", b"")
    assert (await both.at_hub.get("/api/cloud")).json()["state"] == "revoked"
    with pytest.raises(Revoked):
        await door.session()
    kept = (await both.at_cloud.get("/api/hubs")).json()["items"]
    assert kept[0]["revoked_at"] is not None
    assert (await both.at_cloud.delete(f"/api/hubs/{both.hub_id}")).json()["code"] == "hub_revoked"
    await both.enrol()
    assert (await both.at_cloud.get("/api/hubs")).json()["items"][0]["revoked_at"] is None
    await door.session()


async def test_leaving_revokes_at_the_cloud(both: Ends) -> None:
    await both.enrol()
    left = asyncio.Event()
    both.hub.services.enrolment.door.on_left.append(left.set)
    assert (await both.at_hub.delete("/api/cloud")).status_code == 204
    assert left.is_set()
    assert (await both.at_hub.get("/api/cloud")).json()["state"] == "none"
    assert (await both.at_cloud.get(f"/api/hubs/{both.hub_id}")).json()["revoked_at"]
    with pytest.raises(NotEnrolled):
        await both.hub.services.enrolment.door.session()
    assert (await both.at_hub.delete("/api/cloud")).status_code == 404


async def test_one_leaves_a_cloud_that_does_not_answer(both: Ends) -> None:
    await both.enrol()

    def dead(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("no route")

    both.hub.services.enrolment.connector.transport = httpx2.MockTransport(dead)
    assert (await both.at_hub.delete("/api/cloud")).status_code == 204
    assert (await both.at_hub.get("/api/cloud")).json()["state"] == "none"


async def test_a_second_cloud_is_refused_while_there_is_one(both: Ends) -> None:
    await both.enrol()
    made = await both.code()
    answer = await both.at_hub.post("/api/cloud", json={"code": made["link"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "cloud_joined")


async def test_only_the_hubs_owner_tells_it_a_code(both: Ends) -> None:
    guest, made = await both.hub.person("guest"), await both.code()
    assert (await guest.post("/api/cloud", json={"code": made["link"]})).status_code == 403
    assert (await guest.get("/api/cloud")).status_code == 403
    assert (await guest.delete("/api/cloud")).status_code == 403


async def test_each_end_knows_which_it_is(both: Ends) -> None:
    assert (await both.at_hub.post("/api/hubs/enrolments")).json()["code"] == "not_a_cloud"
    assert (await both.at_hub.get("/api/hubs")).json()["items"] == []
    assert (await post(both.hub, "/sync/challenges", b"")).json()["code"] == "not_a_cloud"
    answer = await both.at_cloud.post("/api/cloud", json={"code": link_of("K7QF-29MD-XW4T")})
    assert answer.json()["code"] == "is_a_cloud"


async def test_without_a_login_nobody_enrols_hubs(both: Ends) -> None:
    visitor = await both.cloud.person("visitor", anonymous=True)
    assert (await visitor.post("/api/hubs/enrolments")).status_code == 403


async def test_a_repeated_request_has_one_effect(both: Ends) -> None:
    key = {"Idempotency-Key": "one"}
    made = await both.at_cloud.post("/api/hubs/enrolments", headers=key)
    again = await both.at_cloud.post("/api/hubs/enrolments", headers=key)
    assert again.json() == made.json()
    asked = await both.at_hub.post("/api/cloud", json={"code": made.json()["link"]}, headers=key)
    assert (
        await both.at_hub.post("/api/cloud", json={"code": made.json()["link"]}, headers=key)
    ).json() == asked.json()


async def test_waiting_goes_on_after_a_restart(both: Ends, tmp_path: Path) -> None:
    async with Api(tmp_path / "second") as hub:
        joined(hub, both.cloud)
        hub.services.enrolment.hub_end.pauses = (600.0, 600.0)  # it does not hear in this life
        at_hub, made = await owner(hub, "anna"), await both.code()
        assert (await at_hub.post("/api/cloud", json={"code": made["link"]})).status_code == 200
    assert (await both.at_cloud.post(f"/api/hubs/enrolments/{made['id']}/confirm")).status_code == 200
    async with Api(tmp_path / "second") as hub:
        joined(hub, both.cloud)
        known = enrolled(hub)
        async with asyncio.timeout(WAIT):
            if hub.services.enrolment.door.cloud_id is None:
                await known.wait()
        assert hub.services.enrolment.door.cloud_id == both.cloud.services.hub.view().id


async def proof(both: Ends, **other: Any) -> wire.Prove:
    """What the hub would prove itself with now; `other` is signed in the place of the truth."""
    answer = await post(both.cloud, "/sync/challenges", b"")
    challenge = msgspec.msgpack.decode(answer.content, type=wire.Challenge)
    vault, hub = both.hub.store.vault, both.cloud.services.enrolment.hubs.rows.get(both.hub_id)
    assert hub is not None
    key = await both.hub.store.read(lambda reader: vault.fetch(reader, KEY_ROW))
    assert key is not None
    plain = wire.Prove(hub.id, hub.node, hub.incarnation, challenge.nonce, bytes(64))
    made = msgspec.structs.replace(plain, **{k: v for k, v in other.items() if k in wire.Prove.__struct_fields__})
    cloud_id = other.get("cloud_id", both.cloud.services.hub.view().id)
    text = wire.session_text(cloud_id, made.hub_id, made.node, made.incarnation, made.nonce)
    signer = other.get("signer", Ed25519PrivateKey.from_private_bytes(key))
    return msgspec.structs.replace(made, signature=signer.sign(text))


async def test_a_signature_is_good_once(both: Ends) -> None:
    await both.enrol()
    proved = await proof(both)
    first = await post(both.cloud, "/sync/sessions", proved)
    assert first.status_code == 200
    assert msgspec.msgpack.decode(first.content, type=wire.Opened).expires_in == 3600
    answer = await post(both.cloud, "/sync/sessions", proved)
    assert (answer.status_code, answer.json()["code"]) == (409, "challenge_over")


async def test_of_two_that_come_with_one_signature_at_once_one_gets_in(both: Ends) -> None:
    await both.enrol()
    proved = await proof(both)
    answers = await asyncio.gather(*(post(both.cloud, "/sync/sessions", proved) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]


async def test_an_old_or_foreign_challenge(both: Ends) -> None:
    await both.enrol()
    late = await proof(both)
    both.cloud.forward(60_000)
    assert (await post(both.cloud, "/sync/sessions", late)).json()["code"] == "challenge_over"
    for nonce in (bytes(40), bytes(16), b"x" * 128):
        made = await proof(both, nonce=nonce)
        assert (await post(both.cloud, "/sync/sessions", made)).json()["code"] == "challenge_over"


@pytest.mark.parametrize(
    "other", [{"cloud_id": "h-another"}, {"hub_id": "h-unknown"}, {"signer": Ed25519PrivateKey.generate()}]
)
async def test_what_is_signed_for_another_or_by_another_opens_nothing(both: Ends, other: dict[str, Any]) -> None:
    await both.enrol()
    answer = await post(both.cloud, "/sync/sessions", await proof(both, **other))
    assert (answer.status_code, answer.json()["code"]) == (401, "hub_unproved")


async def test_a_restored_hub_ends_its_old_life(both: Ends) -> None:
    await both.enrol()
    door, ended = both.hub.services.enrolment.door, []
    both.cloud.services.enrolment.tokens.on_ended.append(lambda *life: ended.append(life))
    old = both.cloud.services.enrolment.hubs.rows.get(both.hub_id)
    assert old is not None
    token = (await door.session()).token
    node = new_node_id()
    newer = await proof(both, node=node, incarnation=old.incarnation + 1)
    assert (await post(both.cloud, "/sync/sessions", newer)).status_code == 200
    assert ended == [(both.hub_id, old.node)]
    assert (await post(both.cloud, "/sync/leave", b"", token)).status_code == 401
    answer = await post(both.cloud, "/sync/sessions", await proof(both, node="x", incarnation=old.incarnation + 1))
    assert answer.json()["code"] == "superseded"
    with pytest.raises(Superseded):
        await door.post("/sync/leave", b"")
    assert (await both.at_hub.get("/api/cloud")).json()["state"] == "superseded"
    with pytest.raises(Superseded):
        await door.session()


async def test_a_token_ends_and_the_door_proves_itself_anew(both: Ends) -> None:
    await both.enrol()
    door = both.hub.services.enrolment.door
    first = await door.session()
    assert await door.session() is first
    both.cloud.forward(3_600_000)  # the cloud's clock runs ahead: the hub takes it for good still
    await door.post("/sync/challenges", b"")
    assert (await post(both.cloud, "/sync/leave", b"", first.token)).status_code == 401
    await door.post("/sync/leave", b"")
    assert (await both.at_cloud.get(f"/api/hubs/{both.hub_id}")).json()["revoked_at"]


async def test_a_hubs_token_opens_nothing_but_what_is_a_hubs(both: Ends) -> None:
    await both.enrol()
    token = (await both.hub.services.enrolment.door.session()).token
    assert (await both.cloud.client(token).get("/api/hubs")).status_code == 401
    assert (await both.cloud.client(token).get("/v1/heartbeat")).status_code in (401, 405)
    person = str(both.at_cloud.headers["authorization"]).removeprefix("Bearer ")
    assert (await post(both.cloud, "/sync/leave", b"", person)).status_code == 401
    assert (await both.at_cloud.get(f"/api/hubs/{both.hub_id}")).json()["revoked_at"] is None


async def test_of_a_hubs_tokens_the_oldest_gives_way(both: Ends) -> None:
    await both.enrol()
    tokens = []
    for _ in range(5):
        answer = await post(both.cloud, "/sync/sessions", await proof(both))
        tokens.append(msgspec.msgpack.decode(answer.content, type=wire.Opened).token)
    known, now = both.cloud.services.enrolment.tokens, both.cloud.clock.now()
    assert [known.actor_of(token.encode(), now) is not None for token in tokens] == [False, True, True, True, True]


HOSTILE = [b"", b"\xc1", b"\x00", b"\x80", b"\x81\xa4code\xa3abc", b"\xdd\xff\xff\xff\xff", b"\x91" * 5000, b"{}"]


@pytest.mark.parametrize("path", ["/sync/enrol", "/sync/enrol/state", "/sync/sessions"])
async def test_what_is_no_message_is_refused(both: Ends, path: str) -> None:
    for body in HOSTILE:
        answer = await post(both.cloud, path, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), body[:20]
    assert (await post(both.cloud, path, b"x" * 20_000)).status_code == 413


@pytest.mark.parametrize(
    "field",
    [
        {"hub_id": "H\x00"},
        {"hub_id": ""},
        {"name": " "},
        {"public_key": bytes(31)},
        {"seal_key": bytes(33)},
        {"incarnation": -1},
        {"incarnation": 1 << 63},
        {"node": "n" * 65},
        {"nonce": b""},
    ],
)
async def test_what_a_hub_says_of_itself_is_bounded(both: Ends, field: dict[str, Any]) -> None:
    code = (await both.code())["code"]
    assert (await post(both.cloud, "/sync/enrol", said(code, **field))).status_code == 400
    assert (await post(both.cloud, "/sync/enrol", said(code))).status_code == 200


@pytest.mark.parametrize(
    "link",
    [
        "K7QF-29MD-XW4T",
        "doorstep:claim?url=https://cloud.example&pin=&code=K7QF",
        "doorstep:enrol?url=ftp://cloud.example&pin=&code=K7QF",
        "doorstep:enrol?url=http://cloud.example&pin=&code=K7QF",
        "doorstep:enrol?url=https://&pin=&code=K7QF",
        "doorstep:enrol?url=https://a:99999&pin=&code=K7QF",
        "doorstep:enrol?url=https://me@cloud.example&pin=&code=K7QF",
        "doorstep:enrol?url=https://cloud.example&pin=abc&code=K7QF",
        "doorstep:enrol?url=https://cloud.example&pin=&code=",
        "doorstep:enrol?" + "&".join("a=b" for _ in range(20)),
    ],
)
async def test_a_text_that_no_cloud_shows(both: Ends, link: str) -> None:
    answer = await both.at_hub.post("/api/cloud", json={"code": link})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


async def test_codes_of_one_person_are_bounded_and_ended_ones_give_way(both: Ends) -> None:
    for _ in range(10):
        await both.code()
    assert (await both.at_cloud.post("/api/hubs/enrolments")).status_code == 429
    both.cloud.forward(CODE_MS)
    await both.code()
    await both.code(await both.cloud.person("bert"))


async def test_which_homes_a_hub_serves(both: Ends) -> None:
    await both.enrol()
    hubs = both.cloud.services.enrolment.hubs
    homes = [(await both.at_cloud.post("/api/homes", json={"name": n, "time_zone": "UTC"})).json()["id"] for n in "ab"]

    def attach(tx: Tx) -> list[bool]:
        return [hubs.attach_in(tx, both.hub_id, home_id) for home_id in (*homes, homes[0])]

    assert await both.cloud.store.write(attach) == [True, True, False]
    assert hubs.serves(both.hub_id, homes[0])
    assert not hubs.serves("h-other", homes[0])
    assert not hubs.serves(both.hub_id, "elsewhere")
    assert await both.cloud.store.read(lambda r: hubs.homes_in(r, both.hub_id)) == sorted(homes)
    assert [h.id for h in await both.cloud.store.read(lambda r: hubs.hubs_of_in(r, homes[1]))] == [both.hub_id]
    listed = (await both.at_cloud.get(f"/api/homes/{homes[0]}/hubs")).json()["items"]
    assert [hub["id"] for hub in listed] == [both.hub_id]
    assert (await (await both.cloud.person("mallory")).get(f"/api/homes/{homes[0]}/hubs")).status_code == 404
    assert (await both.at_cloud.get(f"/api/hubs/{both.hub_id}")).json()["homes"] == sorted(homes)
    assert await both.cloud.store.write(lambda tx: hubs.detach_in(tx, both.hub_id, homes[0]))
    assert not hubs.serves(both.hub_id, homes[0])
    await both.at_cloud.delete(f"/api/hubs/{both.hub_id}")
    assert not hubs.serves(both.hub_id, homes[1])
    assert not await both.cloud.store.read(lambda r: hubs.serves_in(r, both.hub_id, homes[1]))
    assert (await both.at_cloud.get(f"/api/homes/{homes[1]}/hubs")).json()["items"] == []


async def test_hubs_go_with_their_owners_account(both: Ends) -> None:
    bert = await both.cloud.person("bert")
    made = await both.code(bert)
    await post(both.cloud, "/sync/enrol", said(made["code"]))
    await bert.post(f"/api/hubs/enrolments/{made['id']}/confirm")
    hubs = both.cloud.services.enrolment.hubs
    assert hubs.rows.get("h-strange") is not None
    account_id = str(bert.headers["authorization"]).removeprefix("Bearer ")
    accounts = both.cloud.services.accounts

    def go(tx: Tx) -> None:
        hubs.account_going_in(tx, BY_SYSTEM, accounts.get_in(tx, account_id))

    await both.cloud.store.write(go)
    assert hubs.rows.get("h-strange") is None


async def test_what_was_enrolled_is_known_after_a_restart(tmp_path: Path) -> None:
    async with ends(tmp_path) as both:
        await both.enrol()
        await both.hub.services.enrolment.door.session()
    async with Api(tmp_path / "cloud", is_cloud=True) as cloud, Api(tmp_path / "hub") as hub:
        joined(hub, cloud)
        assert hub.services.enrolment.door.cloud_id == cloud.services.hub.view().id
        await hub.services.enrolment.door.session()
        (row,) = cloud.services.enrolment.hubs.rows.values()
        assert row.heard_at is None or row.heard_at > 0
