"""A hub enrols with a cloud: told a code by its owner, confirmed at the cloud; listed, renamed, revoked."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.store.hub import new_node_id, read_hub
from app.sync.enrolment.door import NotEnrolled
from app.sync.enrolment.joined import KEY_ROW, SEAL_ROW, SECRET_ROW
from app.sync.enrolment.model import CODE_MS, Revoked, Superseded
from tests import waiting
from tests.api.harness import Api
from tests.sync.pair import Ends, ends, enrolled, joined, link_of, owner
from tests.sync.strangers import Stranger


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Ends]:
    async with ends(tmp_path) as made:
        yield made


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
    async with asyncio.timeout(waiting.WAIT):
        await known.wait()
    assert (await both.at_hub.get("/api/cloud")).json()["state"] == "enrolled"
    assert (await both.at_cloud.get(path)).json()["state"] == "confirmed"
    assert both.hub.services.enrolment.door.cloud_id == both.cloud.services.hub.view().id
    await both.hub.services.enrolment.door.session()
    assert (await both.at_hub.get("/api/cloud")).json()["contact_at"]


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


async def test_what_nobody_confirms_in_time_is_refused(both: Ends) -> None:
    path, _ = await both.ask()
    both.cloud.forward(CODE_MS)
    answer = await both.at_cloud.post(f"{path}/confirm")
    assert (answer.status_code, answer.json()["code"]) == (410, "enrolment_ended")
    await until(both, "refused")


async def until(both: Ends, state: str) -> dict[str, Any]:
    """The hub's cloud once it is in `state`, of which an event is told."""
    answer = await waiting.until(lambda: both.at_hub.get("/api/cloud"), lambda it: it.json()["state"] == state)
    return answer.json()  # type: ignore[no-any-return]


async def test_a_refused_hub_is_told_and_may_try_again(both: Ends) -> None:
    path, _ = await both.ask()
    assert (await both.at_cloud.post(f"{path}/refuse")).status_code == 204
    await until(both, "refused")
    assert await both.hub.store.read(lambda r: r.all("SELECT row FROM secrets WHERE row LIKE 'cloud/%'")) == []
    await both.enrol()


async def test_a_revoked_hub_is_out_at_once_and_knows(both: Ends) -> None:
    await both.enrol()
    door, ended = both.hub.services.enrolment.door, []
    both.cloud.services.enrolment.tokens.on_ended.append(lambda *life: ended.append(life))
    token = (await door.session()).token
    assert (await both.at_cloud.delete(f"/api/hubs/{both.hub_id}")).status_code == 204
    node = both.cloud.services.enrolment.hubs.rows.get(both.hub_id)
    assert node is not None
    assert ended == [(both.hub_id, node.node)]
    assert (await Stranger(both.cloud).post("/sync/leave", b"", token)).status_code == 401
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


async def test_who_may_ask_which_end_for_what(both: Ends) -> None:
    guest, made = await both.hub.person("guest"), await both.code()
    assert (await guest.post("/api/cloud", json={"code": made["link"]})).status_code == 403
    assert (await guest.get("/api/cloud")).status_code == 403
    assert (await guest.delete("/api/cloud")).status_code == 403
    assert (await both.at_hub.post("/api/hubs/enrolments")).json()["code"] == "not_a_cloud"
    assert (await both.at_hub.get("/api/hubs")).json()["items"] == []
    assert (await Stranger(both.hub).post("/sync/challenges", b"")).json()["code"] == "not_a_cloud"
    answer = await both.at_cloud.post("/api/cloud", json={"code": link_of("K7QF-29MD-XW4T")})
    assert answer.json()["code"] == "is_a_cloud"


async def test_a_repeated_request_has_one_effect(both: Ends) -> None:
    key = {"Idempotency-Key": "one"}
    made = await both.at_cloud.post("/api/hubs/enrolments", headers=key)
    again = await both.at_cloud.post("/api/hubs/enrolments", headers=key)
    assert again.json() == made.json()
    asked = await both.at_hub.post("/api/cloud", json={"code": made.json()["link"]}, headers=key)
    assert (
        await both.at_hub.post("/api/cloud", json={"code": made.json()["link"]}, headers=key)
    ).json() == asked.json()
    # Once it is enrolled, another cloud has to wait until it has left.
    confirm, key = f"/api/hubs/enrolments/{made.json()['id']}/confirm", {"Idempotency-Key": "two"}
    confirmed = await both.at_cloud.post(confirm, headers=key)
    assert confirmed.status_code == 200
    again = await both.at_cloud.post(confirm, headers=key)
    assert again.json() == confirmed.json()
    await until(both, "enrolled")
    answer = await both.at_hub.post("/api/cloud", json={"code": (await both.code())["link"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "cloud_joined")


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
        async with asyncio.timeout(waiting.WAIT):
            if hub.services.enrolment.door.cloud_id is None:
                await known.wait()
        assert hub.services.enrolment.door.cloud_id == both.cloud.services.hub.view().id


async def test_a_hub_whose_backup_was_restored_elsewhere_speaks_no_more(both: Ends) -> None:
    await both.enrol()
    door, elsewhere = both.hub.services.enrolment.door, Stranger(both.cloud)
    token = (await door.session()).token
    key = await both.hub.store.read(lambda reader: both.hub.store.vault.fetch(reader, KEY_ROW))
    assert key is not None
    elsewhere.hub_id, elsewhere.key = both.hub_id, Ed25519PrivateKey.from_private_bytes(key)
    hub = await both.hub.store.read(read_hub)
    assert await elsewhere.token(node=new_node_id(), incarnation=hub.incarnation + 1)
    assert (await elsewhere.post("/sync/leave", token=token)).status_code == 401
    with pytest.raises(Superseded):
        await door.post("/sync/leave", b"")
    assert (await both.at_hub.get("/api/cloud")).json()["state"] == "superseded"
    with pytest.raises(Superseded):
        await door.session()
    assert (await both.at_cloud.get(f"/api/hubs/{both.hub_id}")).json()["revoked_at"] is None


async def test_a_token_ends_and_the_door_proves_itself_anew(both: Ends) -> None:
    await both.enrol()
    door = both.hub.services.enrolment.door
    first = await door.session()
    assert await door.session() is first
    both.cloud.forward(3_600_000)  # the cloud's clock runs ahead: the hub takes it for good still
    await door.post("/sync/challenges", b"")
    assert (await Stranger(both.cloud).post("/sync/leave", b"", first.token)).status_code == 401
    await door.post("/sync/leave", b"")
    assert (await both.at_cloud.get(f"/api/hubs/{both.hub_id}")).json()["revoked_at"]


NO_LINKS = [
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
]


async def test_what_the_hub_is_told_is_read_with_care(both: Ends) -> None:
    for link in NO_LINKS:
        answer = await both.at_hub.post("/api/cloud", json={"code": link})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), link
    for code in ("K7QF-29MD-XW4T", "-", "O" * 99):
        answer = await both.at_hub.post("/api/cloud", json={"code": link_of(code)})
        assert (answer.status_code, answer.json()["code"]) == (409, "enrolment_code_unknown"), code
    assert (await both.at_hub.get("/api/cloud")).json()["state"] == "none"


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
