"""Phones that work offline: what they did is taken once, by hub or cloud; and what they read of a home's facts."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from app.accounts.codes import hash_code, new_code
from app.sync import engine, phones
from tests.api.households import account_of, new_home
from tests.sync.pair import ends
from tests.sync.together import Together
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOW = 1_000_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Together]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "MOST_BACKOFF_S", 0.05)
        async with ends(tmp_path_factory.mktemp("phones")) as both:
            made = Together(both)
            await made.begin()
            yield made


@pytest_asyncio.fixture(loop_scope="module")
async def together(pair: Together) -> Together:
    return await pair.another()


class Phone:
    """Counts what it does."""

    def __init__(self, together: Together, node: str = "00000000000000aa") -> None:
        self._path = together.home
        self._node = node
        self._n = 0

    def did(self, kind: str, entity_id: str, what: str = "put", *, n: int = 0, **fields: Any) -> dict[str, Any]:
        """One more act; `n` another number."""
        self._n += 1
        part = {"kind": kind, "id": entity_id, "what": what, "fields": fields}
        return {"n": n or self._n, "at": NOW, "seen": 1 << 40, "parts": [part]}

    async def push(self, at: httpx2.AsyncClient, *operations: dict[str, Any]) -> dict[str, Any]:
        """What is answered."""
        body = {"node": self._node, "now": NOW, "operations": list(operations)}
        answer = await at.post(f"{self._path}/operations", json=body)
        assert answer.status_code == 200, answer.text
        answered: dict[str, Any] = answer.json()
        return answered


def said(answer: dict[str, Any]) -> list[tuple[int, str, str, bool]]:
    return [(it["n"], it["status"], it["why"], it["confirmed"]) for it in answer["results"]]


async def test_by_the_hub_and_then_directly_it_is_taken_once(together: Together) -> None:
    room, phone = (await together.room()).rpartition("/")[2], Phone(together)
    together.door.cut()
    acts = [phone.did("room", room, name=f"Name {number}") for number in range(3)]
    answer = await phone.push(together.at_hub, *acts[:2])
    assert said(answer) == [(1, "ok", "", False), (2, "ok", "", False)]
    shown = (await together.at_hub.get(f"{together.home}/rooms/{room}")).json()
    assert shown["name"] == "Name 1"
    directly = await phone.push(together.at_cloud, *acts)
    assert said(directly) == [(1, "ok", "", True), (2, "ok", "", True), (3, "ok", "", True)]
    assert said(await phone.push(together.at_cloud, *acts)) == [(n, "ok", "again", True) for n in (1, 2, 3)]
    await together.again()
    assert said(await phone.push(together.at_hub, acts[1])) == [(2, "ok", "again", False)]
    for client in (together.at_hub, together.at_cloud):
        assert (await client.get(f"{together.home}/rooms/{room}")).json()["name"] == "Name 2"
    assert await together.conflicts() == []
    more = phone.did("room", room, name="Name 4")
    assert said(await phone.push(together.at_hub, *acts, more))[-1] == (4, "ok", "", False)
    await together.level()
    assert (await together.at_cloud.get(f"{together.home}/rooms/{room}")).json()["name"] == "Name 4"


async def test_a_number_that_is_missing_is_asked_for(together: Together) -> None:
    room = (await together.room()).rpartition("/")[2]
    for client, node in ((together.at_hub, "00000000000000b1"), (together.at_cloud, "00000000000000b2")):
        phone = Phone(together, node)
        answer = await phone.push(
            client, phone.did("room", room, name="One"), phone.did("room", room, n=3, name="Three")
        )
        assert [it["n"] for it in answer["results"]] == [1]
        assert answer["expected"] == 2


async def test_a_node_is_one_persons(together: Together) -> None:
    ben, phone = await together.hub.person("ben-nodes"), Phone(together)
    await together.invited(ben, "admin", by=together.at_hub)
    room = (await together.room()).rpartition("/")[2]
    await phone.push(together.at_hub, phone.did("room", room, name="Anna's"))
    act = phone.did("room", room, name="Ben's")
    body = {"node": "00000000000000aa", "now": NOW, "operations": [act]}
    refused = await ben.post(f"{together.home}/operations", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_your_node")


async def test_what_its_person_may_not_is_refused_at_both(together: Together) -> None:
    member = await together.hub.person("m-phone")
    await together.invited(member, "member", by=together.at_hub)
    room = (await together.room()).rpartition("/")[2]
    phone = Phone(together)
    answer = await phone.push(member, phone.did("room", room, name="Mine"), phone.did("nonsense", room, name="x"))
    assert [(status, why) for _, status, why, _ in said(answer)] == [("denied", "not_allowed"), ("denied", "malformed")]
    assert (await together.at_hub.get(f"{together.home}/rooms/{room}")).json()["name"] == "Kitchen"
    await together.level()
    assert said(await phone.push(member, phone.did("room", room, name="Mine"))) == [(3, "denied", "not_allowed", False)]
    await together.level()
    assert (await together.at_cloud.get(f"{together.home}/rooms/{room}")).json()["name"] == "Kitchen"


async def test_what_is_not_wanted_any_more_does_nothing(together: Together) -> None:
    room = (await together.room()).rpartition("/")[2]
    for client, node in ((together.at_hub, "00000000000000c1"), (together.at_cloud, "00000000000000c2")):
        phone = Phone(together, node)
        late = phone.did("room", room, name="Too late") | {"not_after": NOW - 1}
        await phone.push(client, late)
        await together.level()
        for each in (together.at_hub, together.at_cloud):
            assert (await each.get(f"{together.home}/rooms/{room}")).json()["name"] == "Kitchen"


async def test_somebody_is_let_in_by_a_phone_that_reaches_nobody(together: Together) -> None:
    """An invitation is made out there; the guest takes it up at the hub, which has no cloud at that time."""
    code = new_code(12)
    together.door.cut()
    key = await together.hub.store.read(
        lambda reader: together.hub.services.people.key_in(reader, together.home_id, account_of(together.at_hub))
    )
    now = together.hub.clock.now().ms
    invitation: dict[str, Any] = {
        "code_hash": hash_code(code).hex(),
        "role": "guest",
        "state": "pending",
        "anonymous": False,
        "created_by": key,
        "created_at": now,
        "expires_at": now + 3_600_000,
    }
    phone, guest = Phone(together), await together.hub.person("g-phone")
    answer = await phone.push(
        together.at_hub, phone.did("invitation", "01985f6e-4b2a-7c31-9d52-3f0a1c7e8b91", "new", **invitation)
    )
    assert said(answer) == [(1, "ok", "", False)]
    taken = await guest.post("/api/invitations/accept", json={"code": code})
    assert taken.status_code == 200, taken.text
    assert (await guest.get(together.home)).status_code == 200
    await together.again()
    assert (await guest.get(together.home)).status_code == 200
    assert (await together.at_cloud.get(await together.member_at_cloud("g-phone"))).json()["role"] == "guest"


async def test_a_home_without_a_log_takes_nothing(together: Together) -> None:
    alone = await new_home(together.at_hub)
    body = {"node": "00000000000000aa", "now": NOW, "operations": [Phone(together).did("room", "r", name="x")]}
    for answer in (
        await together.at_hub.post(f"{alone}/operations", json=body),
        await together.at_hub.get(f"{alone}/facts"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "not_shared")


# what they read


async def test_facts_are_the_same_at_both_and_shown_by_role(together: Together) -> None:
    await together.apart(await together.room(), {"name": "Bath"}, {"name": "Cellar"})
    await together.at_hub.post(f"{together.home}/invitations", json={"role": "member"})
    await together.level()
    at_hub, at_cloud = [
        (await client.get(f"{together.home}/facts")).json() for client in (together.at_hub, together.at_cloud)
    ]
    assert at_hub == at_cloud
    kinds = {it["kind"] for it in at_hub["facts"]}
    assert {"home", "member", "room", "invitation", "conflict"} <= kinds
    seqs = [it["seq"] for it in at_hub["facts"]]
    assert seqs == sorted(seqs)
    member, guest = await together.hub.person("m-facts"), await together.hub.person("g-facts")
    await together.invited(member, "member", by=together.at_hub)
    await together.invited(guest, "guest", by=together.at_hub)
    await together.level()
    seen = (await member.get(f"{together.home}/facts")).json()
    assert {it["kind"] for it in seen["facts"]} & {"invitation", "conflict", "share", "secret", "home_key"} == set()
    assert seen["head"] > seqs[-1]
    assert (await guest.get(f"{together.home}/facts")).status_code == 403


async def test_facts_come_in_pages_and_since(together: Together, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phones, "MOST", 2)
    path = await together.room()
    found: list[dict[str, Any]] = []
    since, more = 0, True
    while more:
        page = (await together.at_hub.get(f"{together.home}/facts", params={"since": since})).json()
        assert len(page["facts"]) <= 2
        found += page["facts"]
        since, more = page["head"], page["more"]
    assert {it["kind"] for it in found} == {"home", "member", "room", "hub", "home_key"}
    assert (await together.at_hub.get(f"{together.home}/facts", params={"since": since})).json()["facts"] == []
    await together.at_hub.delete(path)
    await together.level()
    (gone,) = (await together.at_hub.get(f"{together.home}/facts", params={"since": since})).json()["facts"]
    assert (gone["kind"], gone["id"], gone["fields"]) == ("room", path.rpartition("/")[2], None)


async def test_a_place_below_the_floor_or_beyond_the_log_begins_again(together: Together) -> None:
    plain = (await together.at_hub.get(f"{together.home}/facts", params={"since": 0})).json()
    await together.hub.store.write(
        lambda tx: tx.run("UPDATE sync_homes SET floor=2 WHERE home_id=?", (together.home_id,))
    )
    for since in (1, plain["head"] + 1_000):
        again = (await together.at_hub.get(f"{together.home}/facts", params={"since": since})).json()
        assert again["epoch"] != plain["epoch"]
        assert [it["id"] for it in again["facts"]] == [it["id"] for it in plain["facts"]]


async def test_a_phone_at_a_cloud_that_nobody_reaches(together: Together) -> None:
    """The hub is cut off; what a phone does at the cloud is confirmed there at once, and comes to the hub later."""
    room, phone = (await together.room()).rpartition("/")[2], Phone(together)
    together.door.cut()
    await until(lambda: together.engine.line is None)
    assert said(await phone.push(together.at_cloud, phone.did("room", room, name="Out"))) == [(1, "ok", "", True)]
    assert (await together.at_hub.get(f"{together.home}/rooms/{room}")).json()["name"] == "Kitchen"
    await together.again()
    assert (await together.at_hub.get(f"{together.home}/rooms/{room}")).json()["name"] == "Out"


async def test_a_phone_has_spoken_with_no_device(together: Together) -> None:
    phone = Phone(together)
    device: dict[str, Any] = {"product_id": "lamp", "hardware_id": "somebodys", "owner_epoch": 1}
    answer = await phone.push(
        together.at_cloud, phone.did("device", "01985f6e-4b2a-7c31-9d52-3f0a1c7e8b92", "new", **device)
    )
    assert said(answer) == [(1, "denied", "not_a_hub", True)]
