"""Commands over the companion API: durable, in order, once, answered or visibly expired."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.caller import Caller
from app.control import dispatch, queries
from app.control.dispatch import WINDOW
from app.control.model import MAX_OPEN_PER_DEVICE, NewCommand
from app.control.states import State
from app.devices.model import NewDevice
from app.errors import NotFound
from tests.api.fake_link import ON, FakeLink, lamp_of
from tests.api.harness import Api
from tests.api.households import account_of, join
from tests.api.things import bind, home_of, without_request_id


async def test_a_command_goes_out_and_its_answer_is_the_devices_state(api: Api) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    device_id, path = await lamp_of(api, anna)
    link.up(device_id)
    given = await anna.post(path, json=ON)
    assert (given.status_code, given.json()["state"]) == (202, "queued")
    command = await link.next()
    assert (command.id, command.body.values) == (given.json()["id"], {"on": True})
    await link.answer(command)
    shown = (await anna.get(f"{path}/{command.id}")).json()
    assert (shown["state"], shown["outcome"]) == ("answered", {"values": {"on": True}})
    reported = (await anna.get(f"/api/devices/{device_id}")).json()["services"]["light"]["reported"]
    assert reported["on"]["value"] is True


async def test_a_command_is_shown_as_sent_at_once_and_still_after_a_stop(tmp_path: Path) -> None:
    async with Api(tmp_path / "data") as api:
        anna, link = await api.person("anna"), FakeLink(api)
        device_id, path = await lamp_of(api, anna)
        link.up(device_id)
        given = (await anna.post(path, json=ON | {"expires_in": 3600})).json()
        await link.next()
        assert (await anna.get(f"{path}/{given['id']}")).json() == given | {"state": "sent"}
        assert [one["state"] for one in (await anna.get(path)).json()["items"]] == ["sent"]
    async with Api(tmp_path / "data") as api:
        kept = await api.services.store.read(lambda reader: queries.command(reader, given["id"]))
        assert kept is not None
        assert kept.state is State.SENT


async def test_waiting_answers_with_the_end(api: Api) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    device_id, path = await lamp_of(api, anna)
    link.up(device_id)
    asked = asyncio.create_task(anna.post(path, params={"wait": 20}, json=ON))
    await link.answer(await link.next(), ok=False, values={}, error="burnt_out")
    answer = await asked
    assert (answer.json()["state"], answer.json()["outcome"]) == ("failed", {"error": "burnt_out"})


async def test_what_waits_goes_out_in_order_when_the_device_is_there_and_again_when_it_comes_back(api: Api) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    device_id, path = await lamp_of(api, anna)
    ids = [(await anna.post(path, json=ON)).json()["id"] for _ in range(10)]
    assert link.sent.empty()
    link.up(device_id)
    first = [await link.next() for _ in ids]
    assert [command.id for command in first] == ids
    await link.answer(first[0])
    link.up(device_id)
    assert [(await link.next()).id for _ in ids[1:]] == ids[1:]


async def test_an_open_command_survives_a_restart(tmp_path: Path) -> None:
    async with Api(tmp_path / "data") as api:
        anna = await api.person("anna")
        device_id, path = await lamp_of(api, anna)
        ids = [(await anna.post(path, json=ON | {"expires_in": 3600})).json()["id"] for _ in range(3)]
    async with Api(tmp_path / "data") as api:
        link = FakeLink(api)
        link.up(device_id)
        assert [(await link.next()).id for _ in ids] == ids


async def test_a_command_expires_and_a_late_answer_changes_nothing(api: Api) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    device_id, path = await lamp_of(api, anna)
    asked = asyncio.create_task(anna.post(path, params={"wait": 20}, json=ON | {"expires_in": 60}))
    while not api.services.control.dispatch.count(device_id):
        await asyncio.sleep(0)
    api.forward(61_000)
    command = (await asked).json()
    assert (command["state"], command["outcome"]) == ("expired", {"error": "expired"})
    await api.services.control.answered(device_id, command["id"], ok=True, values={"on": True}, error=None)
    assert (await anna.get(f"{path}/{command['id']}")).json() == command
    link.up(device_id)
    assert link.sent.empty()
    assert (await anna.get(f"/api/devices/{device_id}")).json()["services"] == {}


async def test_more_than_expire_at_once_all_expire(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "EXPIRED_AT_ONCE", 2)
    anna, open_now = await api.person("anna"), api.services.control.dispatch
    device_id, path = await lamp_of(api, anna)
    ids = [(await anna.post(path, json=ON | {"expires_in": 60})).json()["id"] for _ in range(5)]
    asked = asyncio.create_task(anna.post(path, params={"wait": 20}, json=ON | {"expires_in": 60}))
    while open_now.count(device_id) <= len(ids):
        await asyncio.sleep(0)
    api.forward(61_000)
    assert (await asked).json()["state"] == "expired"
    assert open_now.count(device_id) == 0
    assert {one["state"] for one in (await anna.get(path)).json()["items"]} == {"expired"}


async def test_an_answer_of_another_device_is_none(api: Api) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    home_id = await home_of(anna)
    lamp, other = await bind(api, home_id), await bind(api, home_id, "d-2")
    link.up(lamp)
    command_id = (await anna.post(f"/api/devices/{lamp}/commands", json=ON)).json()["id"]
    await api.services.control.answered(other, command_id, ok=True, values={"on": True}, error=None)
    assert (await anna.get(f"/api/devices/{lamp}/commands/{command_id}")).json()["state"] != "answered"
    assert (await anna.get(f"/api/devices/{other}/commands/{command_id}")).status_code == 404


async def test_what_the_model_does_not_know_is_refused_and_leaves_nothing(api: Api) -> None:
    anna = await api.person("anna")
    _, path = await lamp_of(api, anna)
    for wrong in (
        {"service": "oven", "values": {"on": True}},
        {"service": "light", "values": {"on": 3}},
        {"service": "light", "values": {"brightness": 5000}},
        {"service": "light", "values": {}},
        {"service": "light", "kind": "call", "name": "explode"},
    ):
        answer = await anna.post(path, json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, "value_unfit")
    malformed: tuple[Any, ...] = ({"service": "light", "more": 1}, {}, [], {"service": "light", "expires_in": 0})
    for none in malformed:
        answer = await anna.post(path, json=none)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert (await anna.get(path)).json() == {"items": [], "next": None}


async def test_commands_are_their_homes_own(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    device_id, path = await lamp_of(api, anna)
    command_id = (await anna.post(path, json=ON)).json()["id"]
    for verb, suffix in (("POST", ""), ("GET", ""), ("GET", f"/{command_id}")):
        hidden = await ben.request(verb, path + suffix, json=ON if verb == "POST" else None)
        missing = await ben.request(verb, path.replace(device_id, "none") + suffix, json=ON if verb == "POST" else None)
        assert hidden.status_code == 404
        assert without_request_id(hidden) == without_request_id(missing)


async def test_a_key_commands_once_even_when_the_device_is_gone_since(api: Api) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    device_id, path = await lamp_of(api, anna)
    link.up(device_id)
    repeat = {"Idempotency-Key": "switch-1"}
    answers = await asyncio.gather(*(anna.post(path, json=ON, headers=repeat) for _ in range(5)))
    assert len({answer.content for answer in answers}) == 1
    assert (await link.next()).id == answers[0].json()["id"]
    assert link.sent.empty()
    assert (await anna.post(path, json=ON | {"expires_in": 5}, headers=repeat)).status_code == 422


async def test_a_device_that_leaves_ends_what_it_was_to_do(api: Api) -> None:
    anna = await api.person("anna")
    device_id, path = await lamp_of(api, anna)
    asked = asyncio.create_task(anna.post(path, params={"wait": 20}, json=ON))
    while not api.services.control.dispatch.count(device_id):
        await asyncio.sleep(0)
    assert (await anna.delete(f"/api/devices/{device_id}")).status_code == 204
    assert (await asked).json()["state"] == "failed"
    assert api.services.control.dispatch.count(device_id) == 0


async def test_a_wish_is_a_command_that_waits_longer(api: Api) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    device_id, _ = await lamp_of(api, anna)
    wished = await anna.patch(f"/api/devices/{device_id}/services/light/desired", json={"values": {"on": True}})
    assert wished.status_code == 200
    api.forward(3_600_000)
    link.up(device_id)
    assert (await link.next()).body.values == {"on": True}


async def test_a_device_is_told_its_last_wishes_alone(api: Api) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    device_id, path = await lamp_of(api, anna)
    await anna.post(path, json=ON | {"expires_in": 86400})
    for values in ({"on": True}, {"on": False}, {"brightness": 20}, {"brightness": None}, {"on": True}):
        wished = await anna.patch(f"/api/devices/{device_id}/services/light/desired", json={"values": values})
        assert wished.status_code == 200
    ends = [c.get("outcome") for c in (await anna.get(path)).json()["items"] if c["state"] == "failed"]
    assert ends == [{"error": "superseded"}] * 3
    link.up(device_id)
    assert [(await link.next()).body.values for _ in range(2)] == [{"on": True}] * 2
    assert link.sent.empty()


async def test_what_waits_for_a_device_is_bounded(api: Api) -> None:
    anna = await api.person("anna")
    device_id, path = await lamp_of(api, anna)
    dispatch = api.services.control.dispatch
    one = (await anna.post(path, json=ON)).json()["id"]
    known = dispatch.get(device_id, one)
    assert known is not None
    for n in range(MAX_OPEN_PER_DEVICE - 1):
        dispatch._open[device_id][str(n)] = known  # as if that many had been asked for
    refused = await anna.post(path, json=ON)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_commands")
    wish = await anna.patch(f"/api/devices/{device_id}/services/light/desired", json={"values": {"on": True}})
    assert (wish.status_code, wish.json()["code"]) == (429, "too_many_commands")
    assert (await anna.get(f"/api/devices/{device_id}/services/light")).json()["desired"] == {}


async def test_lists_come_newest_first_in_pages(api: Api) -> None:
    anna = await api.person("anna")
    _, path = await lamp_of(api, anna)
    ids = [(await anna.post(path, json=ON)).json()["id"] for _ in range(5)]
    seen, cursor = [], None
    while True:
        page = (await anna.get(path, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [command["id"] for command in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert seen == ids[::-1]


def test_a_new_device_does_not_show_its_credential() -> None:
    new = NewDevice(home_id="h", hardware_id="d", product_id="lamp", credential=b"secret")
    assert "secret" not in repr(new)


async def test_no_more_go_out_without_an_answer_than_a_device_remembers(api: Api) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    device_id, path = await lamp_of(api, anna)
    link.up(device_id)
    ids = [(await anna.post(path, json=ON)).json()["id"] for _ in range(WINDOW + 3)]
    first = [await link.next() for _ in range(WINDOW)]
    assert [command.id for command in first] == ids[:WINDOW]
    assert link.sent.empty()
    await link.answer(first[0])
    await link.answer(first[1])
    assert [(await link.next()).id for _ in range(2)] == ids[WINDOW : WINDOW + 2]
    link.up(device_id)
    again = [(await link.next()).id for _ in range(WINDOW)]
    assert again == ids[2 : WINDOW + 2]
    assert link.sent.empty()


async def test_rights_taken_earlier_in_the_same_commit_are_gone(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home_id = await home_of(anna)
    device_id = await bind(api, home_id)
    await join(api, f"/api/homes/{home_id}", ben, "member")
    control, members = api.services.control, api.services.members
    by, owner = Caller(api.actor(account_of(ben))), Caller(api.actor(account_of(anna)))
    new = NewCommand("light", values={"on": True})
    given, _, refused = await asyncio.gather(
        control.command(by, device_id, new),
        members.remove(owner, home_id, by.actor.account_id or ""),
        control.command(by, device_id, new),
        return_exceptions=True,
    )
    assert isinstance(given, bytes)
    assert isinstance(refused, NotFound)


async def test_what_leaves_in_the_same_commit_ends_its_commands(api: Api) -> None:
    anna = await api.person("anna")
    device_id, _ = await lamp_of(api, anna)
    by, new = Caller(api.actor(account_of(anna))), NewCommand("light", values={"on": True})
    await asyncio.gather(
        api.services.control.command(by, device_id, new), api.services.devices.registry.remove(by, device_id)
    )
    assert await api.store.read(lambda reader: reader.all("SELECT * FROM commands")) == []
    assert api.services.control.dispatch.count(device_id) == 0
