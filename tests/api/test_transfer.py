"""A device goes to another home: what goes with it, what stays, what ends, and who may."""

from typing import Any

import httpx2
import pytest

from app.devices import queries
from app.events import stream
from tests.api.fake_link import ON, FakeLink
from tests.api.harness import Api
from tests.api.households import account_of, join
from tests.api.listening import Listening
from tests.api.things import bind, home_of, room_of


class Removal:
    """Anna has two homes, and a lamp in the first."""

    def __init__(self, api: Api, anna: httpx2.AsyncClient) -> None:
        self.api = api
        self.anna = anna
        self.old = self.new = self.room = self.device_id = ""

    async def furnish(self) -> None:
        self.old, self.new = await home_of(self.anna), await home_of(self.anna)
        self.room = await room_of(self.anna, self.new, "Hall")
        there = await room_of(self.anna, self.old)
        self.device_id = await bind(self.api, self.old, room_id=there, name="Porch lamp")

    @property
    def path(self) -> str:
        return f"/api/devices/{self.device_id}"

    async def transfer(self, who: httpx2.AsyncClient | None = None, **body: Any) -> httpx2.Response:
        return await (who or self.anna).post(f"{self.path}/transfer", json={"home_id": self.new, **body})

    async def view(self) -> Any:
        return (await self.anna.get(self.path)).json()

    async def log(self) -> list[tuple[str, Any]]:
        items = (await self.anna.get(f"{self.path}/journal")).json()["items"]
        return [(each["type"], each["value"]) for each in items]


@pytest.fixture
async def move(api: Api) -> Removal:
    move = Removal(api, await api.person("anna"))
    await move.furnish()
    return move


async def test_it_is_the_same_device_there_with_its_name_and_values(move: Removal) -> None:
    await move.api.services.devices.reported(move.device_id, "light", {"on": True})
    await move.anna.patch(f"{move.path}/names", json={"names": {"light": {"on": "Bulb"}}})
    before = await move.view()
    answer = await move.transfer(room_id=move.room)
    assert answer.status_code == 200, answer.text
    after = await move.view()
    assert answer.headers["etag"] == f'"{after["version"]}"'
    assert after == {
        **before,
        "home_id": move.new,
        "room_id": move.room,
        "bound_at": after["bound_at"],
        "version": before["version"] + 1,
    }
    for home_id, found in ((move.old, []), (move.new, [move.device_id])):
        listed = (await move.anna.get(f"/api/homes/{home_id}/devices")).json()["items"]
        assert [each["id"] for each in listed] == found
    in_room = await move.anna.get(f"/api/homes/{move.new}/devices", params={"room_id": move.room})
    assert len(in_room.json()["items"]) == 1


async def test_its_owner_epoch_is_raised(move: Removal) -> None:
    devices = move.api.services.devices
    live = devices.memory.get(move.device_id)
    assert live is not None
    was = live.device.owner_epoch
    await move.transfer()
    bond = devices.bond_of("d-1")
    assert bond is not None
    on_disk = await move.api.store.read(lambda reader: queries.last_epoch(reader, "d-1"))
    assert [live.device.owner_epoch, bond.owner_epoch, on_disk] == [was + 1] * 3


async def test_what_was_asked_of_it_ends_and_is_not_told_there(move: Removal) -> None:
    link = FakeLink(move.api)
    asked = (await move.anna.post(f"{move.path}/commands", json={**ON, "expires_in": 600})).json()
    await move.anna.patch(f"{move.path}/services/light/desired", json={"values": {"brightness": 40}})
    async with Listening(move.api.app, account_of(move.anna)) as hears:
        await move.transfer()
        failed = [each for each in await hears.until("device.removed") if each.event == "command.failed"]
        failed += [each for each in await hears.until("device.added") if each.event == "command.failed"]
    assert {each.data["data"]["outcome"]["error"] for each in failed} == {"device_transferred"}
    assert asked["id"] in {each.data["entity_id"] for each in failed}
    assert move.api.services.control.dispatch.count(move.device_id) == 0
    assert (await move.anna.get(f"{move.path}/commands")).json()["items"] == []
    assert (await move.anna.get(f"{move.path}/commands/{asked['id']}")).status_code == 404
    shadow = await move.anna.get(f"{move.path}/services/light")
    assert shadow.json() == {"version": 2, "reported": {}, "desired": {}}
    link.up(move.device_id)
    given = (await move.anna.post(f"{move.path}/commands", json=ON)).json()
    assert (await link.next()).id == given["id"]


async def test_its_log_stays_with_the_old_home_and_begins_anew(move: Removal) -> None:
    await move.api.services.devices.reported(move.device_id, "light", {"on": True})
    assert [kind for kind, _ in await move.log()] == ["report", "added"]
    await move.transfer()
    assert await move.log() == [("added", {"transferred": True})]
    back = {"home_id": move.old}
    assert (await move.anna.post(f"{move.path}/transfer", json=back)).status_code == 200
    # What was of its first stay here is there still.
    assert [kind for kind, _ in await move.log()] == ["added", "removed", "report", "added"]


async def test_both_homes_are_told(move: Removal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)
    ben, eve = await move.api.person("ben"), await move.api.person("eve")
    await join(move.api, f"/api/homes/{move.old}", ben, "member")
    await join(move.api, f"/api/homes/{move.new}", eve, "member")
    app = move.api.app
    async with Listening(app, account_of(ben)) as old, Listening(app, account_of(eve)) as new:
        for listening in (old, new):
            await listening.until("ready")
        await move.transfer()
        (left,) = await old.until("device.removed")
        (come,) = await new.until("device.added")
        assert (left.data["home_id"], left.data["data"]) == (move.old, {"name": "Porch lamp", "transferred": True})
        assert come.data["home_id"] == move.new
        # From now on it is the new home's to hear of.
        await move.api.services.devices.reported(move.device_id, "light", {"on": True})
        assert (await new.next()).event == "device.reported"
        await old.place(str(move.api.services.bus.here))
        assert old.heard() == []
    for home_id, kind in ((move.old, "device.removed"), (move.new, "device.added")):
        acts = (await move.anna.get(f"/api/homes/{home_id}/audit")).json()["items"]
        assert acts[0]["type"] == kind


async def test_shares_groups_and_what_is_known_of_people_end(move: Removal) -> None:
    rea = await move.api.person("rea")
    gil = await move.api.person("gil")
    await join(move.api, f"/api/homes/{move.old}", gil, "guest", only=frozenset({move.device_id}))
    share = (await move.anna.post(f"{move.path}/shares", json={"login": "rea"})).json()["share"]["id"]
    assert (await rea.post(f"/api/me/shares/{share}/accept")).status_code == 200
    group = {"name": "Outside", "devices": [move.device_id]}
    group_id = (await move.anna.post(f"/api/homes/{move.old}/groups", json=group)).json()["id"]
    await move.anna.post(f"{move.path}/users", json={"nick_name": "Anna", "sex": "female"})
    assert [(await who.get(move.path)).status_code for who in (rea, gil)] == [200, 200]
    async with Listening(move.api.app, account_of(rea)) as hears:
        await move.transfer()
        assert (await hears.rest())[-1].data["reason"] == "rights_changed"
    assert [(await who.get(move.path)).status_code for who in (rea, gil)] == [404, 404]
    assert (await move.anna.get(f"/api/groups/{group_id}")).json()["devices"] == []
    assert (await move.anna.get(f"{move.path}/users")).json()["items"] == []
    assert (await move.anna.get(f"{move.path}/shares")).json()["items"] == []
    # Nor does a way back give any of it again.
    await move.anna.post(f"{move.path}/transfer", json={"home_id": move.old})
    assert [(await who.get(move.path)).status_code for who in (rea, gil)] == [404, 404]


async def test_a_gateway_takes_along_what_is_behind_it(move: Removal) -> None:
    gateway = await bind(move.api, move.old, "d-g", product="gateway")
    behind = [await bind(move.api, move.old, f"d-g/{n}", gateway_id=gateway) for n in (1, 2)]
    refused = await move.anna.post(f"/api/devices/{behind[0]}/transfer", json={"home_id": move.new})
    assert (refused.status_code, refused.json()["code"]) == (409, "behind_gateway")
    body = {"home_id": move.new, "room_id": move.room}
    assert (await move.anna.post(f"/api/devices/{gateway}/transfer", json=body)).status_code == 200
    shown = [(await move.anna.get(f"/api/devices/{each}")).json() for each in (gateway, *behind)]
    assert [(each["home_id"], each["room_id"]) for each in shown] == [
        (move.new, move.room),
        (move.new, None),
        (move.new, None),
    ]
    assert [each["gateway_id"] for each in shown] == [None, gateway, gateway]


async def test_it_takes_an_admin_of_both(move: Removal) -> None:
    ben, cat = await move.api.person("ben"), await move.api.person("cat")
    third = await home_of(cat)
    for role_old, role_new, status in (
        (None, "admin", 404),
        ("member", "admin", 403),
        ("admin", None, 404),
        ("admin", "member", 403),
        ("admin", "admin", 200),
    ):
        for home_id, role in ((move.old, role_old), (move.new, role_new)):
            await move.anna.delete(f"/api/homes/{home_id}/members/{account_of(ben)}")
            if role is not None:
                await join(move.api, f"/api/homes/{home_id}", ben, role)
        answer = await move.transfer(ben)
        assert answer.status_code == status, (role_old, role_new, answer.text)
    unknown = await move.anna.post(f"{move.path}/transfer", json={"home_id": third})
    nowhere = await move.anna.post(f"{move.path}/transfer", json={"home_id": "none"})
    assert unknown.status_code == nowhere.status_code == 404


async def test_where_it_cannot_go(move: Removal) -> None:
    there = (await move.anna.get(f"/api/homes/{move.old}/rooms")).json()["items"][0]["id"]
    for body, status, code in (
        ({"home_id": move.old}, 409, "already_in_home"),
        ({"room_id": there}, 400, "room_unknown"),
        ({"home_id": ""}, 404, "not_found"),
        ({"colour": "red"}, 400, "invalid"),
    ):
        refused = await move.transfer(**body)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    stale = await move.anna.post(f"{move.path}/transfer", json={"home_id": move.new}, headers={"If-Match": '"7"'})
    assert stale.status_code == 412
    await move.anna.post(f"{move.path}/reset", json={})
    refused = await move.transfer()
    assert (refused.status_code, refused.json()["code"]) == (409, "device_unbound")


async def test_a_frozen_one_is_frozen_there_too(move: Removal) -> None:
    await move.anna.post(f"{move.path}/freeze")
    assert (await move.transfer()).json()["frozen"] is True
    assert (await move.anna.post(f"{move.path}/commands", json=ON)).status_code == 409
    assert (await move.anna.post(f"{move.path}/unfreeze")).status_code == 200


async def test_asked_twice_it_goes_once(move: Removal) -> None:
    headers = {"Idempotency-Key": "once"}
    first, again = [
        await move.anna.post(f"{move.path}/transfer", json={"home_id": move.new}, headers=headers) for _ in range(2)
    ]
    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())
