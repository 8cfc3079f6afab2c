"""Homes, rooms, members, invitations and shares carried from one node to another."""

import hashlib
from functools import partial
from typing import Any

import pytest

from app.caller import BY_SYSTEM, Caller
from app.homes import queries
from app.policy import Actor, Role
from app.sync.kinds import Item, SeveralIds
from tests.api.harness import Api
from tests.api.households import account_of, new_home
from tests.api.listening import Listening
from tests.api.things import bind
from tests.sync.household import WINDOW, Household
from tests.sync.sides import (
    carry,
    carry_things,
    client_of,
    events_since,
    facts_of,
    key_of,
    kinds_of,
    known_at,
    last_event,
    memory_is_disk,
    put,
    rows_of,
)


async def test_everything_comes_to_be_on_the_other_side(house: Household, cloud: Api) -> None:
    facts = await facts_of(house.hub, house.id)
    assert {name: len(of_kind) for name, of_kind in facts.items()} == {
        "home": 1, "member": 4, "room": 3, "share": 4, "invitation": 3,
    }  # fmt: skip
    await house.arrive(cloud)
    await memory_is_disk(cloud)
    told = await events_since(cloud, 0)
    for event, times in {
        "home.created": 1, "member.joined": 4, "room.created": 3, "share.accepted": 4, "share.offered": 1,
        "share.ended": 1, "invitation.created": 1, "invitation.revoked": 1, "invitation.accepted": 1,
    }.items():  # fmt: skip
        assert told.count(event) == times, event
    anna = await client_of(cloud, await house.key("anna"))
    seen = (await anna.get(house.path)).json()
    assert (seen["name"], seen["address"], seen["latitude"], seen["role"]) == (
        "Lindenweg",
        "Lindenweg 3",
        52.5,
        "owner",
    )
    assert seen["offline_alert_after"] == 0
    rooms = (await anna.get(f"{house.path}/rooms")).json()
    assert [room["name"] for room in rooms["items"]] == ["Kitchen", "Hall", "Bath"]
    members = {m["name"]: m for m in (await anna.get(f"{house.path}/members")).json()["items"]}
    assert {name: m["role"] for name, m in members.items()} == {
        "anna": "owner", "ben": "admin", "gil": "guest", "Vic": "member",
    }  # fmt: skip
    assert members["gil"]["only"] == []
    assert members["ben"]["only"] is None
    assert members["Vic"]["anonymous"]
    assert not members["ben"]["anonymous"]
    shares = {s["id"]: s for s in (await anna.get(f"{house.path}/shares")).json()["items"]}
    assert house.shares["offered"] not in shares
    assert shares[house.shares["rosa"]]["giver_id"] == await known_at(cloud, await house.key("ben"))
    assert shares[house.shares["rosa"]]["receiver_id"] == await known_at(cloud, await house.key("rosa"))
    invitations = {i["id"]: i for i in (await anna.get(f"{house.path}/invitations")).json()["items"]}
    assert house.invitations["addressed"] not in invitations
    assert invitations[house.invitations["open"]]["only"] == [house.lamp]


async def test_who_has_a_share_has_it_there_too(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    rosa = await client_of(cloud, await house.key("rosa"))
    (received,) = (await rosa.get("/api/me/shares")).json()["items"]
    assert (received["level"], received["state"], received["given_by"]) == ("view", "accepted", "ben")


async def test_codes_made_at_one_node_are_good_at_the_other(house: Household, cloud: Api) -> None:
    anna, ben = house.people["anna"], house.people["ben"]
    invited = await house.ask(anna.post(f"{house.path}/invitations", json={"role": "guest", "only": [house.lamp]}))
    lent = await house.ask(ben.post(f"/api/devices/{house.lamp}/shares", json={}))
    await house.arrive(cloud)
    nora, otto = await cloud.person("nora"), await cloud.person("otto")
    await house.ask(nora.post("/api/invitations/accept", json={"code": invited["code"]}))
    await house.ask(otto.post("/api/shares/accept", json={"code": lent["code"]}))
    await carry(cloud, house.hub, house.id)
    await memory_is_disk(house.hub)
    members = {m["name"]: m for m in (await anna.get(f"{house.path}/members")).json()["items"]}
    assert (members["nora"]["role"], members["nora"]["only"]) == ("guest", [house.lamp])
    assert not members["nora"]["anonymous"]
    taken = (await anna.get(f"{house.path}/invitations/{invited['invitation']['id']}")).json()
    assert (taken["state"], taken["taken_by"]) == ("accepted", members["nora"]["account_id"])
    share = (await anna.get(f"{house.path}/shares/{lent['share']['id']}")).json()
    assert (share["state"], share["receiver_id"]) == (
        "accepted",
        await known_at(house.hub, await key_of(cloud, account_of(otto))),
    )


async def test_what_is_the_same_already_changes_nothing_and_tells_nothing(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    for api in (house.hub, cloud):
        before, place = await rows_of(api), await last_event(api)
        await put(api, house.id, await facts_of(api, house.id))
        assert await rows_of(api) == before
        assert await events_since(api, place) == []


async def test_changes_come_after(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    anna, place = house.people["anna"], await last_event(cloud)
    gil, rosa = f"{house.path}/members/{account_of(house.people['gil'])}", f"{house.path}/shares/{house.shares['rosa']}"
    await house.ask(anna.patch(house.path, json={"name": "Ahornweg", "latitude": None, "address": ""}))
    await house.ask(anna.patch(f"{house.path}/rooms/{house.rooms[0]}", json={"name": "Galley"}))
    await house.ask(anna.patch(gil, json={"remark": "cleans", "only": [house.lamp], "hours": [WINDOW], "until": None}))
    await house.ask(anna.patch(rosa, json={"level": "control", "hours": [WINDOW]}))
    ida = f"{house.path}/shares/{house.shares['ida']}"
    await house.ask(anna.delete(ida))
    await house.ask(anna.delete(f"{house.path}/invitations/{house.invitations['open']}"))
    old = cloud.services.standings.homes.get(house.id)
    await carry(house.hub, cloud, house.id)
    await memory_is_disk(cloud)
    new = cloud.services.standings.homes.get(house.id)
    assert old is not None
    assert new is not None
    assert (new.name, new.latitude, new.address, new.version) == ("Ahornweg", None, "", old.version + 1)
    # The guest's limits, Rosa's hours and Ida's share: three times somebody lost something.
    assert new.epoch == old.epoch + 3
    assert sorted(await events_since(cloud, place)) == [
        "home.updated", "invitation.revoked", "member.changed", "room.updated", "share.changed", "share.changed",
        "share.ended", "share.ended",
    ]  # fmt: skip
    owner = await client_of(cloud, await house.key("anna"))
    changed = await owner.get(f"{house.path}/rooms/{house.rooms[0]}")
    assert (changed.json()["name"], changed.headers["etag"]) == ("Galley", '"2"')


async def test_rooms_in_another_order_are_told_once(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    place = await last_event(cloud)
    first = [house.rooms[2], house.rooms[0]]
    await house.ask(house.people["anna"].put(f"{house.path}/rooms/order", json={"rooms": first}))
    await carry(house.hub, cloud, house.id)
    assert await events_since(cloud, place) == ["rooms.ordered"]
    anna = await client_of(cloud, await house.key("anna"))
    rooms = (await anna.get(f"{house.path}/rooms")).json()["items"]
    assert [room["id"] for room in rooms] == [house.rooms[2], house.rooms[0], house.rooms[1]]


async def test_what_goes_goes_there_too(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    anna, place = house.people["anna"], await last_event(cloud)
    await house.ask(anna.delete(f"{house.path}/members/{account_of(house.people['gil'])}"))
    await house.ask(anna.delete(f"{house.path}/rooms/{house.rooms[0]}"))
    await carry(house.hub, cloud, house.id)
    await memory_is_disk(cloud)
    assert await events_since(cloud, place) == ["room.removed", "member.left", "home.left"]


async def test_with_a_member_goes_what_they_gave(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    ben = await house.key("ben")
    by_ben = {"code_hash": "ab" * 32, "role": "guest", "state": "pending", "created_at": 5, "expires_at": 6}
    await put(cloud, house.id, {"invitation": {"i-1": by_ben | {"created_by": ben}}})
    place = await last_event(cloud)
    await put(cloud, house.id, {"member": {ben: None}})
    told = await events_since(cloud, place)
    assert told.count("share.ended") == 5
    assert told.count("invitation.revoked") == 1
    assert told[-2:] == ["member.left", "home.left"]
    facts = await facts_of(cloud, house.id)
    assert facts["invitation"]["i-1"]["state"] == "revoked"
    assert {share["state"] for share in facts["share"].values()} == {"ended"}
    # The log has the same by the authority's own rules: what it says then is no news.
    await house.ask(house.people["anna"].delete(f"{house.path}/members/{account_of(house.people['ben'])}"))
    authority = await facts_of(house.hub, house.id)
    assert {i: s["state"] for i, s in facts["share"].items()} == {i: s["state"] for i, s in authority["share"].items()}
    await memory_is_disk(cloud)


async def test_who_leaves_by_themselves_is_told_so(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    ben = await house.key("ben")
    by = Caller(Actor(await known_at(cloud, ben)))
    await put(cloud, house.id, {"member": {ben: None}}, by)
    sql = "SELECT json_extract(data,'$.why') FROM events WHERE type IN ('member.left','home.left')"
    assert await cloud.store.read(lambda r: r.all(sql)) == [("left",), ("left",)]


async def test_a_home_goes_with_all_that_is_in_it(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    keys = [await house.key(name) for name in ("anna", "ben", "gil", "rosa")]
    await put(cloud, house.id, {"home": {house.id: None}})
    assert await facts_of(cloud, house.id) == {name: {} for name in kinds_of(cloud)}
    await memory_is_disk(cloud)
    left = await cloud.store.read(
        lambda r: [r.all(f"SELECT 1 FROM {t}") for t in ("homes", "members", "rooms", "devices", "groups", "shares")]
    )
    assert left == [[]] * 6
    told = await events_since(cloud, 0)
    assert told.count("home.left") == 4
    assert told[-1] == "home.dissolved"
    for key in keys:
        assert (await (await client_of(cloud, key)).get("/api/homes")).json()["items"] == []
    # Once more, and what comes late of it, does no harm.
    place = await last_event(cloud)
    late = {name: of_kind for name, of_kind in (await facts_of(house.hub, house.id)).items() if name != "home"}
    await put(cloud, house.id, {"home": {house.id: None}})
    await put(cloud, house.id, late)
    assert await events_since(cloud, place) == []


async def test_unknown_people_are_known_from_then_on_and_called_as_they_are(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    key = hashlib.sha256(b"max").hexdigest()
    await put(cloud, house.id, {"member": {key: house.member()}})
    place = await last_event(cloud)
    await put(cloud, house.id, {"member": {key: house.member(name="Maximilian")}})
    assert await events_since(cloud, place) == ["member.changed"]
    account_id = await known_at(cloud, key)
    anna = await client_of(cloud, await house.key("anna"))
    seen = (await anna.get(f"{house.path}/members/{account_id}")).json()
    assert (seen["name"], seen["anonymous"]) == ("Maximilian", False)
    assert cloud.services.accounts.name_of(account_id) == "Maximilian"


async def test_who_came_without_a_login_and_has_one_now_stays(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    key = hashlib.sha256(b"max").hexdigest()
    for anonymous in (True, False, True):
        fields = house.member(anonymous=True) if anonymous else house.member()
        await put(cloud, house.id, {"member": {key: fields}})
        assert (await facts_of(cloud, house.id))["member"][key] == fields
        account = cloud.services.credentials.accounts.get(await known_at(cloud, key))
        assert account is not None
        assert (account.expires_at is not None) is anonymous


async def test_who_signs_in_there_names_themselves(house: Household, cloud: Api) -> None:
    nora = account_of(await cloud.person("nora"))
    key = await key_of(cloud, nora)
    await house.arrive(cloud)
    await put(cloud, house.id, {"member": {key: house.member(name="Somebody")}})
    assert (await facts_of(cloud, house.id))["member"][key]["name"] == "nora"
    assert cloud.services.standings.members.get((house.id, nora)) is not None


@pytest.mark.parametrize("heir_first", [True, False])
async def test_a_home_is_handed_over_in_one_act(house: Household, cloud: Api, *, heir_first: bool) -> None:
    await house.arrive(cloud)
    await house.ask(
        house.people["anna"].post(f"{house.path}/hand-over", json={"account_id": account_of(house.people["ben"])})
    )
    members = (await facts_of(house.hub, house.id))["member"]
    keys = [await house.key("ben"), await house.key("anna")]
    old = cloud.services.standings.homes.get(house.id)
    await put(cloud, house.id, {"member": {key: members[key] for key in (keys if heir_first else keys[::-1])}})
    await _owned_by(house, cloud, "ben")
    new = cloud.services.standings.homes.get(house.id)
    assert old is not None
    assert new is not None
    assert new.epoch == old.epoch + 1


async def test_a_home_is_handed_over_though_the_halves_come_apart(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    members = (await facts_of(cloud, house.id))["member"]
    anna, ben = await house.key("anna"), await house.key("ben")
    await put(cloud, house.id, {"member": {ben: members[ben] | {"role": "owner"}}})
    await _owned_by(house, cloud, "ben")
    await put(cloud, house.id, {"member": {anna: members[anna] | {"role": "admin"}}})
    await _owned_by(house, cloud, "ben")
    # And back: the owner of now goes, a new one comes in from outside.
    key = hashlib.sha256(b"max").hexdigest()
    await put(cloud, house.id, {"member": {ben: None, key: house.member(role="owner")}})
    assert cloud.services.standings.owner_of(house.id) == await known_at(cloud, key)
    await memory_is_disk(cloud)


async def _owned_by(house: Household, cloud: Api, name: str) -> None:
    roles = {m["name"]: m["role"] for m in (await facts_of(cloud, house.id))["member"].values()}
    assert {who for who, role in roles.items() if role == "owner"} == {name}
    assert roles["anna" if name == "ben" else "ben"] == "admin"
    await memory_is_disk(cloud)


async def test_the_stream_of_a_removed_member_closes(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    ben = await client_of(cloud, await house.key("ben"))
    anna = await client_of(cloud, await house.key("anna"))
    async with Listening(cloud.app, account_of(ben)) as his, Listening(cloud.app, account_of(anna)) as hers:
        assert (await his.next()).event == (await hers.next()).event == "ready"
        await put(cloud, house.id, {"member": {await house.key("ben"): None}})
        heard = await his.rest()
        assert heard[-1].event == "closing"
        assert heard[-1].data["reason"] == "rights_changed"
        assert (await hers.until("member.left"))[-1].data["entity_id"] == account_of(ben)
        assert not hers.ended
    async with Listening(cloud.app, account_of(ben), his.last_id) as again:
        assert [event.event for event in await again.until("home.left")] == ["ready", "home.left"]


async def test_the_stream_of_who_was_lent_something_closes(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    rosa, share = await client_of(cloud, await house.key("rosa")), house.shares["rosa"]
    fields = (await facts_of(cloud, house.id))["share"][share]
    async with Listening(cloud.app, account_of(rosa)) as stream:
        await stream.next()
        await put(cloud, house.id, {"share": {share: fields | {"state": "ended", "ended_at": 7}}})
        assert (await stream.rest())[-1].data["reason"] == "rights_changed"


async def test_a_share_is_forgotten(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    place = await last_event(cloud)
    rosa = await known_at(cloud, await house.key("rosa"))
    await put(cloud, house.id, {"share": {house.shares["rosa"]: None, house.shares["ended"]: None}})
    assert await events_since(cloud, place) == ["share.ended", "share.ended"]
    assert list(cloud.services.shares.of_account(rosa)) == []
    assert not {house.shares["rosa"], house.shares["ended"]} & (await facts_of(cloud, house.id))["share"].keys()
    await memory_is_disk(cloud)


async def test_what_is_only_this_nodes_matter_stays_with_it(house: Household) -> None:
    facts = await facts_of(house.hub, house.id)
    offered, addressed = house.shares["offered"], house.invitations["addressed"]
    assert offered not in facts["share"]
    assert addressed not in facts["invitation"]
    before = await rows_of(house.hub)
    await put(house.hub, house.id, {"share": {offered: None}, "invitation": {addressed: None}})
    like = {"share": {offered: facts["share"][house.shares["code"]]}}
    await put(house.hub, house.id, like)
    assert await rows_of(house.hub) == before
    await house.ask(house.people["ida"].post(f"/api/me/shares/{offered}/accept"))
    accepted = (await facts_of(house.hub, house.id))["share"][offered]
    assert (accepted["state"], accepted["receiver"]) == ("accepted", await house.key("ida"))
    await put(house.hub, house.id, {"share": {offered: accepted | {"remark": "for good"}}})
    kept = await house.hub.store.read(lambda r: r.all("SELECT login,remark FROM shares WHERE id=?", (offered,)))
    assert kept == [("ida", "for good")]


async def test_a_share_waits_for_what_it_lends(house: Household, cloud: Api) -> None:
    facts = await facts_of(house.hub, house.id)
    await put(cloud, house.id, facts)
    assert (await facts_of(cloud, house.id))["share"].keys() == {house.shares["ended"]}
    kind = kinds_of(cloud)["share"]
    refers = {i: list(kind.refers(i, fields)) for i, fields in facts["share"].items()}
    assert refers[house.shares["rosa"]] == [("device", house.lamp)]
    assert refers[house.shares["code"]] == [("group", house.group)]
    assert refers[house.shares["ended"]] == []
    await carry_things(house.hub, cloud)
    await put(cloud, house.id, facts)
    assert await facts_of(cloud, house.id) == facts


async def test_what_does_not_fit_is_passed_over(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    facts = await facts_of(cloud, house.id)
    nora = await cloud.person("nora")
    other = (await new_home(nora)).rpartition("/")[2]
    room = (await nora.post(f"/api/homes/{other}/rooms", json={"name": "Attic"})).json()["id"]
    lamp = await bind(cloud, other, "d-2")
    code = (await nora.post(f"/api/devices/{lamp}/shares", json={})).json()["share"]["id"]
    theirs = await facts_of(cloud, other)
    key, rosa, ben = "ab" * 32, await house.key("rosa"), await house.key("ben")
    share = facts["share"][house.shares["rosa"]]
    invitation = facts["invitation"][house.invitations["open"]]
    before, place = await rows_of(cloud), await last_event(cloud)
    misfits: tuple[dict[str, dict[str, dict[str, Any] | None]], ...] = (
        {"home": {house.id: {"name": ""}}},
        {"home": {house.id: {"name": 7, "time_zone": "Europe/Berlin"}}},
        {"home": {other: facts["home"][house.id]}},
        {"room": {room: {"name": "Mine now"}, "r-1": {"icon": "no name"}, "r-2": {"name": "far", "position": 2**70}}},
        {"room": {"": {"name": "nameless"}, "r" * 65: {"name": "long"}}},
        {"member": {key: {"role": "emperor", "joined_at": 1}, "ab": house.member(), "": None, "xyz": None}},
        {"member": {key.upper(): house.member(), ben: house.member(until=2**60), key: None}},
        {"share": {"s-1": share | {"thing_id": "nothing"}, "s-2": share | {"kind": "house"}}},
        {"share": {"s-3": share | {"thing_id": lamp}, code: share, "s-4": share | {"receiver": None}}},
        {"share": {"s-5": theirs["share"][code] | {"thing_id": house.lamp}, "s-6": share | {"state": "expired"}}},
        {"share": {"s-7": share | {"accepted_at": None}, "s-8": {}, "s-9": share | {"hours": [{"days": []}]}}},
        {"invitation": {"i-1": invitation, "i-2": invitation | {"code_hash": key, "role": "owner"}}},
        {"invitation": {"i-3": invitation | {"code_hash": None}, "i-4": invitation | {"code_hash": "ab"}}},
    )
    for changes in misfits:
        await put(cloud, house.id, changes)
        assert await facts_of(cloud, house.id) == facts, changes
    assert await rows_of(cloud) == before
    assert await events_since(cloud, place) == []
    assert rosa in [fields.get("receiver") for fields in facts["share"].values()]
    assert await facts_of(cloud, other) == theirs


async def test_a_home_in_a_zone_nobody_here_knows_is_a_home(cloud: Api) -> None:
    await put(cloud, "h-1", {"home": {"h-1": {"name": "Base", "time_zone": "Mars/Olympus"}}})
    home = await cloud.store.read(lambda r: queries.home(r, "h-1"))
    assert home is not None
    assert (home.name, home.time_zone) == ("Base", "UTC")
    await put(cloud, "h-1", {"home": {"h-1": {"name": "Base", "time_zone": "Asia/Tokyo"}}})
    await put(cloud, "h-1", {"home": {"h-1": {"name": "Camp", "time_zone": "Mars/Olympus", "latitude": float("nan")}}})
    home = await cloud.store.read(lambda r: queries.home(r, "h-1"))
    assert home is not None
    assert (home.name, home.time_zone, home.version) == ("Camp", "Asia/Tokyo", 3)


async def test_somebody_with_two_keys_is_one_person(house: Household, cloud: Api) -> None:
    await house.arrive(cloud)
    ben, second = await house.key("ben"), "cd" * 32
    account_id = await known_at(cloud, ben)
    sql = "INSERT INTO account_keys(public_key,account_id,linked_at) VALUES(?,?,?)"
    await cloud.store.write(lambda tx: tx.run(sql, (bytes.fromhex(second), account_id, tx.now)))
    kind = kinds_of(cloud)["member"]
    assert isinstance(kind, SeveralIds)

    async def named(entity_id: str, *known: str) -> str:
        return await cloud.store.read(lambda r: kind.id_of_in(r, house.id, entity_id, known.__contains__))

    assert await named(ben, second) == second
    assert await named(second, ben) == ben
    assert await named(ben, second, ben) == ben
    assert await named(second) == second
    assert await named("ef" * 32, ben) == "ef" * 32
    shares = kinds_of(cloud)["share"]
    share = house.shares["rosa"]
    for known in (ben, second):
        said = await cloud.store.read(
            partial(shares.read_in, home_id=house.id, entity_id=share, known={"giver": known})
        )
        assert said is not None
        assert said["giver"] == known
    # By one key they go, by the other they are there: they stay.
    members = (await facts_of(cloud, house.id))["member"]
    place = await last_event(cloud)
    await put_together(cloud, house.id, {ben: None, second: members[ben] | {"remark": "the same"}})
    assert await events_since(cloud, place) == ["member.changed"]
    member = cloud.services.standings.members.get((house.id, account_id))
    assert member is not None
    assert member.role is Role.ADMIN
    assert member.remark == "the same"


async def put_together(api: Api, home_id: str, members: dict[str, dict[str, Any] | None]) -> None:
    """Members who go and who come in one batch."""
    items = [Item(key, fields, BY_SYSTEM) for key, fields in members.items()]
    await api.store.write(lambda tx: kinds_of(api)["member"].put_in(tx, home_id, items))
