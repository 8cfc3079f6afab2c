"""Desired values: for how long, when they are met, and what happens when a device says otherwise."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from app.control.model import Command
from app.control.wishes import MOST_AGAIN
from tests.api.fake_link import FakeLink, lamp_of
from tests.api.harness import Api


class Wished:
    """A lamp, and who wants things of it."""

    def __init__(self, api: Api, client: httpx2.AsyncClient, device_id: str) -> None:
        self.api = api
        self.client = client
        self.device_id = device_id
        self.link = FakeLink(api)

    async def want(self, values: dict[str, Any], **more: Any) -> dict[str, Any]:
        answer = await self.client.patch(
            f"/api/devices/{self.device_id}/services/light/desired", json={"values": values, **more}
        )
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def say(self, values: dict[str, Any], at: int | None = None) -> int | None:
        self.api.forward(1)  # what is said now was not said when it was wanted
        return await self.api.services.devices.reported(self.device_id, "light", values, at)

    async def given(self) -> Command:
        """The next that is sent, and acknowledged."""
        command = await self.link.next()
        await self.api.services.control.acknowledged(self.device_id, [command.id])
        return command

    async def commands(self) -> list[tuple[str, Any]]:
        """(state, outcome), oldest first."""
        found = (await self.client.get(f"/api/devices/{self.device_id}/commands")).json()["items"]
        return [(each["state"], each.get("outcome")) for each in found[::-1]]

    async def desired(self) -> dict[str, Any]:
        found = (await self.client.get(f"/api/devices/{self.device_id}/services/light")).json()["desired"]
        return {name: point["value"] for name, point in found.items()}


@pytest_asyncio.fixture
async def lamp(api: Api) -> AsyncIterator[Wished]:
    anna = await api.person("anna")
    device_id, _ = await lamp_of(api, anna)
    yield Wished(api, anna, device_id)


async def test_a_wish_whose_time_is_over_ends_where_everybody_sees_it(lamp: Wished) -> None:
    await lamp.want({"on": True}, valid_for=60)
    await lamp.want({"brightness": 20})
    lamp.api.forward(61_000)
    while lamp.api.services.control.dispatch.count(lamp.device_id) > 1:
        await lamp.api.services.control.moves.expire(lamp.api.services.control.dispatch._next_due())
    assert await lamp.desired() == {"brightness": 20}
    assert await lamp.commands() == [("expired", {"error": "expired"}), ("queued", None)]
    events = await lamp.api.store.read(lambda r: r.all("SELECT type, data FROM events ORDER BY seq DESC LIMIT 2"))
    assert [event[0] for event in events] == ["device.desired", "command.expired"]
    await lamp.api.services.journal.flush()
    log = (await lamp.client.get(f"/api/devices/{lamp.device_id}/journal")).json()["items"]
    assert [each["type"] for each in log][:2] == ["answer", "command"]
    lamp.link.up(lamp.device_id)
    assert (await lamp.link.next()).body.values == {"brightness": 20}
    assert lamp.link.sent.empty()


async def test_what_is_wanted_anew_outlives_the_older_wish(lamp: Wished) -> None:
    lamp.link.up(lamp.device_id)
    await lamp.want({"on": True}, valid_for=60)
    await lamp.given()
    lamp.api.forward(30_000)
    await lamp.want({"on": True}, valid_for=60)
    lamp.api.forward(31_000)
    while lamp.api.services.control.dispatch.count(lamp.device_id) > 1:
        await lamp.api.services.control.moves.expire(lamp.api.services.control.dispatch._next_due())
    assert await lamp.desired() == {"on": True}


@pytest.mark.parametrize("valid_for", [0, -1, 7 * 86400 + 1, "a day", None])
async def test_what_is_no_time(lamp: Wished, valid_for: Any) -> None:
    refused = await lamp.client.patch(
        f"/api/devices/{lamp.device_id}/services/light/desired", json={"values": {"on": True}, "valid_for": valid_for}
    )
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")


async def test_a_wish_is_met_by_a_report_of_all_of_it(lamp: Wished) -> None:
    await lamp.want({"on": True, "brightness": 20})
    await lamp.say({"on": True})
    assert await lamp.commands() == [("queued", None)]
    await lamp.say({"brightness": 20})
    assert await lamp.commands() == [("answered", {"values": {"on": True, "brightness": 20}})]
    lamp.link.up(lamp.device_id)
    assert lamp.link.sent.empty()


async def test_what_was_so_before_it_was_wanted_meets_no_wish(lamp: Wished) -> None:
    now = lamp.api.clock.now().ms
    await lamp.want({"on": True})
    await lamp.say({"on": True}, at=now - 60_000)
    assert await lamp.commands() == [("queued", None)]


async def test_a_device_that_has_it_and_says_otherwise_is_told_again_so_often(lamp: Wished) -> None:
    lamp.link.up(lamp.device_id)
    await lamp.want({"on": True}, valid_for=600)
    ids, ends = set(), set()
    for _ in range(MOST_AGAIN + 1):
        told = await lamp.given()
        assert told.body.values == {"on": True}
        ids.add(told.id)
        ends.add(told.expires_at)
        await lamp.say({"on": False})
    assert lamp.link.sent.empty()
    assert (len(ids), len(ends)) == (MOST_AGAIN + 1, 1)
    again = ("failed", {"error": "reported_otherwise"})
    assert await lamp.commands() == [again] * MOST_AGAIN + [("delivered", None)]
    await lamp.say({"on": True})
    assert (await lamp.commands())[-1] == ("answered", {"values": {"on": True}})


async def test_what_it_has_not_got_yet_is_not_told_twice(lamp: Wished) -> None:
    lamp.link.up(lamp.device_id)
    await lamp.want({"on": True})
    await lamp.link.next()
    await lamp.say({"on": False})
    assert lamp.link.sent.empty()
    assert await lamp.commands() == [("sent", None)]


async def test_an_older_wish_is_not_told_again_after_a_newer(lamp: Wished) -> None:
    lamp.link.up(lamp.device_id)
    await lamp.want({"on": True})
    await lamp.given()
    await lamp.want({"on": False})
    await lamp.given()
    await lamp.say({"on": False})
    assert lamp.link.sent.empty()
    assert await lamp.commands() == [("delivered", None), ("answered", {"values": {"on": False}})]


async def test_an_older_report_changes_nothing_but_the_log(lamp: Wished) -> None:
    now = lamp.api.clock.now().ms
    await lamp.say({"on": True, "brightness": 20}, at=now)
    version = await lamp.say({"on": False, "color_temp": 300}, at=now - 5_000)
    shown = (await lamp.client.get(f"/api/devices/{lamp.device_id}/services/light")).json()
    assert shown["version"] == version
    assert shown["reported"]["on"]["value"] is True
    assert await lamp.say({"on": False}, at=now - 5_000) == version
    await lamp.api.services.journal.flush()
    log = (await lamp.client.get(f"/api/devices/{lamp.device_id}/journal")).json()["items"]
    assert [each["type"] for each in log].count("report") >= 4
