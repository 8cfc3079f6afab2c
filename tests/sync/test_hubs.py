"""A cloud and hubs that say whatever they like: codes, whose hubs are whose, proofs, tokens, homes."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.accounts.model import DAY_MS
from app.caller import BY_SYSTEM
from app.clock import Moment
from app.store.retention import KEEP
from app.store.tx import Tx
from app.sync.enrolment import wire
from app.sync.enrolment.model import CODE_MS, ChallengeOver
from app.sync.enrolment.tokens import hub_challenges
from tests.api.harness import Api
from tests.sync.strangers import Stranger

pytestmark = pytest.mark.asyncio(loop_scope="module")

PEOPLE = iter(f"person-{number}" for number in range(1_000))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    async with Api(tmp_path_factory.mktemp("cloud"), is_cloud=True) as api:
        api.services.enrolment.cloud_end.known("https://cloud.example", None)
        yield api


async def test_the_code_is_shown_once_and_kept_as_a_hash(cloud: Api) -> None:
    anna = await cloud.person(next(PEOPLE))
    made = (await anna.post("/api/hubs/enrolments")).json()
    assert made["qr"].startswith("<svg")
    assert made["link"] == f"doorstep:enrol?url=https%3A%2F%2Fcloud.example&pin=&code={made['code']}"
    seen = (await anna.get(f"/api/hubs/enrolments/{made['id']}")).json()
    assert (seen["state"], seen["number"], "code" in seen) == ("offered", None, False)
    rows = await cloud.store.read(lambda reader: reader.all("SELECT * FROM enrolments"))
    assert made["code"] not in str(rows)


async def test_wrong_codes_are_counted(cloud: Api) -> None:
    anna, hub = await cloud.person(next(PEOPLE)), Stranger(cloud)
    right = (await anna.post("/api/hubs/enrolments")).json()["code"]
    for wrong in ["WRNG-WRNG-WRNG", "-"] * 15:
        answer = await hub.post("/sync/enrol", hub.says(wrong))
        assert (answer.status_code, answer.json()["code"]) == (404, "enrolment_code_unknown")
    answer = await hub.post("/sync/enrol", hub.says(right))
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    assert (await Stranger(cloud).post("/sync/enrol", hub.says(right))).status_code == 200


async def test_a_code_is_good_once_and_for_a_quarter_of_an_hour(cloud: Api) -> None:
    anna, hub = await cloud.person(next(PEOPLE)), Stranger(cloud)
    first, second = [(await anna.post("/api/hubs/enrolments")).json() for _ in range(2)]
    assert (await hub.post("/sync/enrol", hub.says(first["code"]))).status_code == 200
    answer = await Stranger(cloud).post("/sync/enrol", hub.says(first["code"], hub_id="h-other"))
    assert (answer.status_code, answer.json()["code"]) == (410, "enrolment_ended")
    cloud.forward(CODE_MS)
    answer = await hub.post("/sync/enrol", hub.says(second["code"]))
    assert (answer.status_code, answer.json()["code"]) == (410, "enrolment_ended")
    assert (await anna.get(f"/api/hubs/enrolments/{second['id']}")).json()["state"] == "expired"


async def test_of_hubs_that_take_up_a_code_at_once_one_has_it(cloud: Api) -> None:
    anna, hubs = await cloud.person(next(PEOPLE)), [Stranger(cloud) for _ in range(5)]
    made = (await anna.post("/api/hubs/enrolments")).json()
    answers = await asyncio.gather(*(hub.post("/sync/enrol", hub.says(made["code"])) for hub in hubs))
    assert sorted(answer.status_code for answer in answers) == [200, 410, 410, 410, 410]
    taken = next(hub for hub, answer in zip(hubs, answers, strict=True) if answer.status_code == 200)
    assert (await anna.get(f"/api/hubs/enrolments/{made['id']}")).json()["hub_id"] == taken.hub_id


async def test_confirming_before_a_hub_has_asked_and_after_it_is_over(cloud: Api) -> None:
    anna, hub = await cloud.person(next(PEOPLE)), Stranger(cloud)
    made = (await anna.post("/api/hubs/enrolments")).json()
    path = f"/api/hubs/enrolments/{made['id']}"
    answer = await anna.post(f"{path}/confirm")
    assert (answer.status_code, answer.json()["code"]) == (409, "enrolment_not_asked")
    await hub.post("/sync/enrol", hub.says(made["code"]))
    assert (await anna.post(f"{path}/confirm")).status_code == 200
    for verb in ("confirm", "refuse"):
        assert (await anna.post(f"{path}/{verb}")).json()["code"] == "enrolment_ended"


async def test_nobody_sees_or_confirms_another_persons_enrolment(cloud: Api) -> None:
    anna, mallory, hub = await cloud.person(next(PEOPLE)), await cloud.person(next(PEOPLE)), Stranger(cloud)
    made = (await anna.post("/api/hubs/enrolments")).json()
    path = f"/api/hubs/enrolments/{made['id']}"
    await hub.post("/sync/enrol", hub.says(made["code"]))
    for method, way in (("GET", path), ("POST", f"{path}/confirm"), ("POST", f"{path}/refuse")):
        assert (await mallory.request(method, way)).status_code == 404
    assert (await anna.get(path)).json()["state"] == "asked"


async def test_nobody_sees_or_changes_another_persons_hub(cloud: Api) -> None:
    anna, mallory = await cloud.person(next(PEOPLE)), await cloud.person(next(PEOPLE))
    way = await Stranger(cloud).enrolled_by(anna)
    assert (await mallory.get("/api/hubs")).json()["items"] == []
    assert (await mallory.get(way)).status_code == 404
    assert (await mallory.patch(way, json={"name": "Mine"})).status_code == 404
    assert (await mallory.delete(way)).status_code == 404
    assert (await anna.get(way)).json()["revoked_at"] is None


async def test_a_hub_is_taken_over_only_once_it_was_revoked(cloud: Api) -> None:
    anna, mallory, hub = await cloud.person(next(PEOPLE)), await cloud.person(next(PEOPLE)), Stranger(cloud)
    way = await hub.enrolled_by(anna)
    token = await hub.token()
    thief = Stranger(cloud)
    made = (await mallory.post("/api/hubs/enrolments")).json()
    await thief.post("/sync/enrol", thief.says(made["code"], hub_id=hub.hub_id))
    answer = await mallory.post(f"/api/hubs/enrolments/{made['id']}/confirm")
    assert (answer.status_code, answer.json()["code"]) == (409, "hub_taken")
    assert cloud.services.enrolment.tokens.actor_of(token.encode(), cloud.clock.now()) is not None
    assert (await anna.delete(way)).status_code == 204
    assert (await mallory.post(f"/api/hubs/enrolments/{made['id']}/confirm")).status_code == 200
    assert (await anna.get("/api/hubs")).json()["items"] == []
    assert (await hub.post("/sync/sessions", await hub.proof())).json()["code"] == "hub_unproved"


async def test_renaming_and_revoking_state_the_version(cloud: Api) -> None:
    anna = await cloud.person(next(PEOPLE))
    way = await Stranger(cloud).enrolled_by(anna)
    etag = (await anna.get(way)).headers["etag"]
    renamed = await anna.patch(way, json={"name": "Lindenweg"}, headers={"If-Match": etag})
    assert renamed.json()["name"] == "Lindenweg"
    assert renamed.headers["etag"] != etag
    assert (await anna.delete(way, headers={"If-Match": etag})).status_code == 412
    assert (await anna.get("/api/hubs")).json()["items"][0]["name"] == "Lindenweg"
    assert (await anna.delete(way, headers={"If-Match": renamed.headers["etag"]})).status_code == 204
    assert (await anna.patch(way, json={"name": "Late"})).json()["code"] == "hub_revoked"


async def test_without_a_login_nobody_enrols_hubs(cloud: Api) -> None:
    visitor = await cloud.person(next(PEOPLE), anonymous=True)
    assert (await visitor.post("/api/hubs/enrolments")).status_code == 403


async def test_codes_of_one_person_are_bounded_and_ended_ones_give_way(cloud: Api) -> None:
    anna, bert = await cloud.person(next(PEOPLE)), await cloud.person(next(PEOPLE))
    for _ in range(KEEP["enrolments"].most or 0):
        assert (await anna.post("/api/hubs/enrolments")).status_code == 201
    assert (await anna.post("/api/hubs/enrolments")).status_code == 429
    assert (await bert.post("/api/hubs/enrolments")).status_code == 201
    cloud.forward(CODE_MS)
    assert (await anna.post("/api/hubs/enrolments")).status_code == 201


async def test_codes_are_forgotten_a_month_later(cloud: Api) -> None:
    anna = await cloud.person(next(PEOPLE))
    await anna.post("/api/hubs/enrolments")
    cloud.forward(31 * DAY_MS)
    assert (await cloud.store.housekeeping.run())["enrolments"] > 0
    assert await cloud.store.read(lambda reader: reader.all("SELECT id FROM enrolments")) == []


async def test_a_signature_is_good_once(cloud: Api) -> None:
    hub = Stranger(cloud)
    await hub.enrolled_by(await cloud.person(next(PEOPLE)))
    proved = await hub.proof()
    answers = await asyncio.gather(*(hub.post("/sync/sessions", proved) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    again = await hub.post("/sync/sessions", proved)
    assert (again.status_code, again.json()["code"]) == (409, "hub_challenge_over")


async def test_an_old_or_foreign_challenge(cloud: Api) -> None:
    hub = Stranger(cloud)
    await hub.enrolled_by(await cloud.person(next(PEOPLE)))
    late = await hub.proof()
    cloud.forward(60_000)
    assert (await hub.post("/sync/sessions", late)).json()["code"] == "hub_challenge_over"
    for nonce in (bytes(40), bytes(16), b"x" * 128, hub_challenges().new(cloud.clock.now().ms)):
        assert (await hub.post("/sync/sessions", await hub.proof(nonce=nonce))).json()["code"] == "hub_challenge_over"


async def test_what_is_signed_for_another_or_by_another_opens_nothing(cloud: Api) -> None:
    hub = Stranger(cloud)
    await hub.enrolled_by(await cloud.person(next(PEOPLE)))
    stolen = Ed25519PrivateKey.generate()
    for proved in (
        await hub.proof(cloud_id="h-another"),
        await hub.proof(hub_id="h-unknown"),
        await hub.proof(signer=stolen),
        await Stranger(cloud).proof(hub_id=hub.hub_id),
    ):
        answer = await hub.post("/sync/sessions", proved)
        assert (answer.status_code, answer.json()["code"]) == (401, "hub_unproved")
    # Nothing of that has used up what the hub itself signs.
    assert await hub.token()


async def test_a_restored_hub_ends_its_old_life(cloud: Api) -> None:
    hub, tokens, ended = Stranger(cloud), cloud.services.enrolment.tokens, []
    await hub.enrolled_by(await cloud.person(next(PEOPLE)))
    tokens.on_ended.append(lambda *life: ended.append(life))
    old, other = await hub.token(), await hub.token()
    newer = await hub.token(node="node-2", incarnation=2)
    assert ended == [(hub.hub_id, "node-1")]
    now = cloud.clock.now()
    assert [tokens.actor_of(token.encode(), now) is None for token in (old, other, newer)] == [True, True, False]
    actor = tokens.actor_of(newer.encode(), now)
    assert actor is not None
    assert (actor.hub_id, actor.node, actor.account_id) == (hub.hub_id, "node-2", None)
    for life in ({}, {"node": "node-2"}, {"node": "node-3", "incarnation": 2}):
        answer = await hub.post("/sync/sessions", await hub.proof(**life))
        assert (answer.status_code, answer.json()["code"]) == (409, "superseded")
    tokens.on_ended.pop()


async def test_tokens_end_after_an_hour_and_the_oldest_gives_way(cloud: Api) -> None:
    hub, tokens = Stranger(cloud), cloud.services.enrolment.tokens
    await hub.enrolled_by(await cloud.person(next(PEOPLE)))
    held = [await hub.token() for _ in range(5)]

    def good(now: Moment) -> list[bool]:
        return [tokens.actor_of(token.encode(), now) is not None for token in held]

    now = cloud.clock.now()
    assert good(now) == [False, True, True, True, True]
    assert good(Moment(now.ms + 3_600_001)) == [False] * 5
    assert tokens.actor_of(b"", now) is tokens.actor_of(b"\xff" * 300, now) is None


async def test_a_hubs_token_opens_nothing_but_what_is_a_hubs(cloud: Api) -> None:
    anna, hub = await cloud.person(next(PEOPLE)), Stranger(cloud)
    way = await hub.enrolled_by(anna)
    token = await hub.token()
    for path in ("/api/hubs", "/api/me", "/api/homes", "/v1/heartbeat", "/api/events"):
        assert (await cloud.client(token).get(path)).status_code in (401, 405), path
    person = str(anna.headers["authorization"]).removeprefix("Bearer ")
    for wrong in (person, None, "", token + "x"):
        assert (await hub.post("/sync/leave", token=wrong)).status_code == 401
    assert (await anna.get(way)).json()["revoked_at"] is None
    assert (await hub.post("/sync/leave", token=token)).status_code == 204
    assert (await anna.get(way)).json()["revoked_at"] is not None
    assert (await hub.post("/sync/leave", token=token)).status_code == 401


HOSTILE = [b"", b"\xc1", b"\x00", b"\x80", b"\x81\xa4code\xa3abc", b"\xdd\xff\xff\xff\xff", b"\x91" * 5000, b"{}"]


async def test_what_is_no_message_is_refused(cloud: Api) -> None:
    hub = Stranger(cloud)
    for path in ("/sync/enrol", "/sync/enrol/state", "/sync/sessions"):
        for body in HOSTILE:
            answer = await hub.post(path, body)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), (path, body[:20])
        assert (await hub.post(path, b"x" * 20_000)).status_code == 413


async def test_what_a_hub_says_of_itself_is_bounded(cloud: Api) -> None:
    anna, hub = await cloud.person(next(PEOPLE)), Stranger(cloud)
    code = (await anna.post("/api/hubs/enrolments")).json()["code"]
    for field in (
        {"hub_id": "H\x00"},
        {"hub_id": ""},
        {"name": " "},
        {"public_key": bytes(31)},
        {"seal_key": bytes(33)},
        {"incarnation": -1},
        {"incarnation": 1 << 63},
        {"node": "n" * 65},
        {"nonce": b""},
    ):
        assert (await hub.post("/sync/enrol", hub.says(code, **field))).status_code == 400, field
    assert (await hub.post("/sync/enrol", hub.says(code))).status_code == 200


async def test_what_became_of_it_is_told_to_the_hub_that_asked(cloud: Api) -> None:
    anna, hub = await cloud.person(next(PEOPLE)), Stranger(cloud)
    made = (await anna.post("/api/hubs/enrolments")).json()
    asked = msgspec.msgpack.decode((await hub.post("/sync/enrol", hub.says(made["code"]))).content, type=wire.Asked)
    assert (asked.enrolment, asked.cloud_id) == (made["id"], cloud.services.hub.view().id)

    async def state(enrolment: str, secret: str) -> str:
        answer = await hub.post("/sync/enrol/state", wire.AskState(enrolment, secret))
        return str(answer.json()["code"] if answer.is_error else msgspec.msgpack.decode(answer.content)["state"])

    assert await state(asked.enrolment, asked.secret) == "asked"
    assert await state(asked.enrolment, asked.secret + "x") == "enrolment_code_unknown"
    assert await state("none", asked.secret) == "enrolment_code_unknown"
    await anna.post(f"/api/hubs/enrolments/{made['id']}/refuse")
    assert await state(asked.enrolment, asked.secret) == "refused"


async def test_which_homes_a_hub_serves(cloud: Api) -> None:
    anna, hub, hubs = await cloud.person(next(PEOPLE)), Stranger(cloud), cloud.services.enrolment.hubs
    way = await hub.enrolled_by(anna)
    homes = [(await anna.post("/api/homes", json={"name": n, "time_zone": "UTC"})).json()["id"] for n in "ab"]

    def attach(tx: Tx) -> list[bool]:
        return [hubs.attach_in(tx, hub.hub_id, home_id) for home_id in (*homes, homes[0])]

    assert await cloud.store.write(attach) == [True, True, False]
    assert hubs.serves(hub.hub_id, homes[0])
    assert not hubs.serves("h-other", homes[0])
    assert not hubs.serves(hub.hub_id, "elsewhere")
    assert await cloud.store.read(lambda r: hubs.homes_in(r, hub.hub_id)) == sorted(homes)
    for home_id in homes:
        listed = (await anna.get(f"/api/homes/{home_id}/hubs")).json()["items"]
        assert [each["id"] for each in listed] == [hub.hub_id]
    assert (await (await cloud.person(next(PEOPLE))).get(f"/api/homes/{homes[0]}/hubs")).status_code == 404
    assert (await anna.get(way)).json()["homes"] == sorted(homes)
    assert await cloud.store.write(lambda tx: hubs.detach_in(tx, hub.hub_id, homes[0]))
    assert not hubs.serves(hub.hub_id, homes[0])
    await anna.delete(way)
    assert not hubs.serves(hub.hub_id, homes[1])
    assert not await cloud.store.read(lambda r: hubs.serves_in(r, hub.hub_id, homes[1]))
    assert (await anna.get(f"/api/homes/{homes[1]}/hubs")).json()["items"] == []


async def test_hubs_go_with_their_owners_account(cloud: Api) -> None:
    anna, hub, hubs = await cloud.person(next(PEOPLE)), Stranger(cloud), cloud.services.enrolment.hubs
    await hub.enrolled_by(anna)
    token = await hub.token()
    account_id = str(anna.headers["authorization"]).removeprefix("Bearer ")

    def go(tx: Tx) -> None:
        hubs.account_going_in(tx, BY_SYSTEM, cloud.services.accounts.get_in(tx, account_id))

    await cloud.store.write(go)
    assert hubs.rows.get(hub.hub_id) is None
    assert cloud.services.enrolment.tokens.actor_of(token.encode(), cloud.clock.now()) is None


async def test_hubs_of_one_person_are_bounded_and_the_one_revoked_longest_gives_way(cloud: Api) -> None:
    anna, most = await cloud.person(next(PEOPLE)), KEEP["hubs"].most or 0
    ways = [await Stranger(cloud).enrolled_by(anna) for _ in range(most)]
    late = Stranger(cloud)
    made = (await anna.post("/api/hubs/enrolments")).json()
    await late.post("/sync/enrol", late.says(made["code"]))
    assert (await anna.post(f"/api/hubs/enrolments/{made['id']}/confirm")).status_code == 429
    assert (await anna.delete(ways[7])).status_code == 204
    assert (await anna.post(f"/api/hubs/enrolments/{made['id']}/confirm")).status_code == 200
    assert (await anna.get(ways[7])).status_code == 404
    assert len((await anna.get("/api/hubs")).json()["items"]) == most


async def test_challenges_are_kept_nowhere_until_they_are_signed() -> None:
    challenges = hub_challenges()
    made = [challenges.new(1_000_000) for _ in range(10)]
    assert len(set(made)) == 10
    challenges.spend(made[0], 1_000_001)
    for nonce, now in ((made[0], 1_000_002), (made[1], 1_060_000), (made[2], 999_999), (made[3][:-1], 1_000_001)):
        with pytest.raises(ChallengeOver):
            challenges.check(nonce, now)
