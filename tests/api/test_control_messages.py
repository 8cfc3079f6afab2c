"""Messages: what may be asked, of whom, and what becomes of it."""

from typing import Any

import pytest

from app.control.model import MAX_CONTENT, MAX_MESSAGES_PER_DEVICE, Kind
from tests.api.fake_link import ON, FakeLink, lamp_of
from tests.api.harness import Api

DAY_S = 24 * 3600
TOLD = {"kind": "message", "message": {"content": "hello"}}


async def test_it_waits_for_a_day_and_has_ended_when_it_is_acknowledged(api: Api) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    link.kinds = frozenset(Kind)
    device_id, path = await lamp_of(api, anna)
    made = (await anna.post(path, json=TOLD)).json()
    assert (made["message"], "service" in made) == ({"content": "hello"}, False)
    late = (await anna.post(path, json=TOLD | {"expires_in": 60})).json()
    api.forward((DAY_S - 1) * 1000)
    link.up(device_id)
    sent = await link.next()
    assert sent.id == made["id"]
    await api.services.control.acknowledged(device_id, [sent.id])
    shown = (await anna.get(f"{path}/{sent.id}")).json()
    assert (shown["state"], "ended_at" in shown) == ("answered", True)
    link.up(device_id)
    assert link.sent.empty()
    assert (await anna.get(f"{path}/{late['id']}")).json()["state"] in ("queued", "expired")


async def test_a_link_without_messages_refuses_them_at_once(api: Api) -> None:
    anna = await api.person("anna")
    FakeLink(api)
    _, path = await lamp_of(api, anna)
    refused = await anna.post(path, json=TOLD)
    assert (refused.status_code, refused.json()["code"]) == (409, "link_cannot")
    assert (await anna.get(path)).json()["items"] == []


async def test_what_waits_for_another_link_holds_up_nothing(api: Api) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    link.kinds = frozenset(Kind)
    device_id, path = await lamp_of(api, anna)
    await anna.post(path, json=TOLD)
    on = (await anna.post(path, json=ON)).json()["id"]
    link.kinds = {Kind.SET}
    link.up(device_id)
    assert (await link.next()).id == on
    next_ = (await anna.post(path, json=ON)).json()["id"]
    assert (await link.next()).id == next_
    assert link.sent.empty()


async def test_who_fetches_is_given_messages_only_if_it_takes_them(api: Api) -> None:
    anna, link, control = await api.person("anna"), FakeLink(api), api.services.control
    link.kinds = frozenset(Kind)
    device_id, path = await lamp_of(api, anna)
    told = (await anna.post(path, json=TOLD)).json()["id"]
    assert await control.take(device_id) == []
    taken = await control.take(device_id, remembers=False, kinds=list(Kind))
    assert [each.id for each in taken] == [told]
    assert (await anna.get(f"{path}/{told}")).json()["state"] == "answered"
    assert await control.take(device_id, remembers=False, kinds=list(Kind)) == []


async def test_so_many_are_kept(api: Api) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    link.kinds = frozenset(Kind)
    _, path = await lamp_of(api, anna)
    for _ in range(MAX_MESSAGES_PER_DEVICE):
        assert (await anna.post(path, json=TOLD)).status_code == 202
    refused = await anna.post(path, json=TOLD)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_commands")
    assert (await anna.post(path, json=ON)).status_code == 202


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"content": "a" * (MAX_CONTENT + 1)}, "invalid"),
        ({"content": {"a": "a" * MAX_CONTENT}}, "command_too_long"),
        ({"content": "\u2028" * MAX_CONTENT}, "command_too_long"),
        ({"content": "no base64!", "encoding": "base64"}, "invalid"),
        ({"content": {"a": 1}, "encoding": "base64"}, "invalid"),
        ({"content": "a", "encoding": "rot13"}, "invalid"),
        ({"content": "a", "topic": "/sys"}, "invalid"),
        ({"content": "a", "topic": "a/#"}, "invalid"),
        ({"content": "a", "topic": "a\0"}, "invalid"),
        ({"content": "a", "more": 1}, "invalid"),
        ({}, "invalid"),
        (None, "invalid"),
    ],
)
async def test_what_is_no_message(api: Api, message: Any, code: str) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    link.kinds = frozenset(Kind)
    _, path = await lamp_of(api, anna)
    refused = await anna.post(path, json={"kind": "message", "message": message})
    assert (refused.status_code, refused.json()["code"]) == (400, code)


async def test_what_goes_with_what(api: Api) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    link.kinds = frozenset(Kind)
    _, path = await lamp_of(api, anna)
    for wrong in (TOLD | {"service": "light"}, TOLD | {"values": {"on": True}}, ON | {"message": {"content": "a"}}):
        refused = await anna.post(path, json=wrong)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid")


async def test_more_than_a_link_takes_is_refused_when_it_is_asked_for(api: Api) -> None:
    anna = await api.person("anna")
    _, path = await lamp_of(api, anna)
    refused = await anna.post(path, json=ON | {"values": {"on": "a" * 60_000}})
    assert refused.status_code == 400
