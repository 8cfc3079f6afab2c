"""A command given at one node reaches the device through the hub that holds it, with its result, or waits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.sync.wire import CommandEnd, Done, Ended, EndsTold, Order, Relay
from tests.api.fake_link import ON
from tests.api.harness import Api
from tests.sync.lines import HubSide, World, level, world
from tests.sync.sides import client_of
from tests.waiting import until

YEAR_MS = 365 * 24 * 3600 * 1000


@pytest.fixture
async def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with world(tmp_path, monkeypatch) as made:
        yield made


async def _give(client: httpx2.AsyncClient, device_id: str, new: dict[str, Any] = ON) -> str:
    given = await client.post(f"/api/devices/{device_id}/commands", json=new)
    assert given.status_code == 202, given.text
    command_id: str = given.json()["id"]
    return command_id


async def _state(api: Api, command_id: str) -> tuple[str, Any]:
    rows = await api.store.read(lambda r: r.all("SELECT state, result FROM commands WHERE id=?", (command_id,)))
    return (rows[0][0], rows[0][1]) if rows else ("none", None)


async def _ended(api: Api, command_id: str, state: str) -> Any:
    async def is_so() -> bool:
        return (await _state(api, command_id))[0] == state

    await until(is_so)
    return (await _state(api, command_id))[1]


async def _nothing_kept(*apis: Api) -> None:
    for api in apis:

        async def is_so(api: Api = api) -> bool:
            return not await api.store.read(lambda r: r.all("SELECT 1 FROM sync_commands"))

        await until(is_so)


async def test_a_command_given_at_the_cloud_is_done_by_the_hub_and_its_result_comes_back(there: World) -> None:
    lamp = await there.lamp()
    there.hub.link.up(lamp)
    command_id = await _give(there.at_cloud, lamp)
    command = await there.hub.link.next()
    assert (command.id, command.body.values) == (command_id, {"on": True})
    await there.hub.link.answer(command)
    assert await _ended(there.cloud, command_id, "answered") == '{"values":{"on":true}}'
    await until(lambda: _is_on(there, lamp))
    await _nothing_kept(there.cloud, there.hub.api)
    # Anna is the one who gave it, at the hub too.
    whose = await there.hub.api.store.read(lambda r: r.all("SELECT account_id FROM commands WHERE id=?", (command_id,)))
    assert whose[0][0] == str(there.at_hub.headers["authorization"]).removeprefix("Bearer ")


async def _is_on(it: World, device_id: str) -> bool:
    return await it.reported(it.cloud, device_id) == {"on": True}


async def test_a_device_s_failure_comes_back_as_it_is(there: World) -> None:
    lamp = await there.lamp()
    there.hub.link.up(lamp)
    command_id = await _give(there.at_cloud, lamp)
    await there.hub.link.answer(await there.hub.link.next(), ok=False, error="bulb_broken")
    assert await _ended(there.cloud, command_id, "failed") == '{"error":"bulb_broken"}'


async def test_while_the_hub_is_away_a_command_waits_and_is_done_once_it_is_back(there: World) -> None:
    lamp = await there.lamp()
    there.hub.link.up(lamp)
    await there.hub.away()
    command_id = await _give(there.at_cloud, lamp)
    assert (await _state(there.cloud, command_id))[0] == "queued"
    assert there.hub.link.sent.empty()
    await there.hub.back()
    await there.hub.link.answer(await there.hub.link.next())
    await _ended(there.cloud, command_id, "answered")


async def test_what_has_expired_where_it_was_given_is_never_done(there: World) -> None:
    lamp = await there.lamp()
    there.hub.link.up(lamp)
    await there.hub.away()
    late = await _give(there.at_cloud, lamp)
    there.cloud.forward(31_000)
    await _ended(there.cloud, late, "expired")
    await there.hub.back()
    fresh = await _give(there.at_cloud, lamp)
    assert (await there.hub.link.next()).id == fresh
    assert (await _state(there.hub.api, late))[0] == "none"


async def test_clocks_a_year_apart_change_nothing_of_how_long_a_command_lives(there: World) -> None:
    lamp = await there.lamp()
    there.hub.link.up(lamp)
    for years in (1, -2):
        there.hub.api.forward(years * YEAR_MS)
        command_id = await _give(there.at_cloud, lamp, ON | {"expires_in": 60})
        command = await there.hub.link.next()
        left = command.expires_at - there.hub.api.clock.now().ms
        assert 0 < left <= 60_000
        await there.hub.link.answer(command)
        await _ended(there.cloud, command_id, "answered")


async def test_it_expires_at_the_hub_where_the_device_is_not_there(there: World) -> None:
    lamp = await there.lamp()
    command_id = await _give(there.at_cloud, lamp, ON | {"expires_in": 3600})
    await _ended(there.hub.api, command_id, "queued")
    there.hub.api.forward(3_601_000)
    await _ended(there.hub.api, command_id, "expired")
    await _ended(there.cloud, command_id, "expired")
    there.hub.link.up(lamp)
    assert there.hub.link.sent.empty()


async def test_an_end_whose_acknowledgement_was_lost_is_told_again(there: World) -> None:
    lamp = await there.lamp()
    there.hub.link.up(lamp)
    command_id = await _give(there.at_cloud, lamp)
    there.hub.lost_answers.append(Ended)
    await there.hub.link.answer(await there.hub.link.next())
    await _ended(there.cloud, command_id, "answered")
    await _nothing_kept(there.cloud, there.hub.api)
    assert sum(isinstance(it, Ended) for it in there.hub.asked) >= 2
    ends = await there.cloud.store.read(lambda r: r.all("SELECT 1 FROM events WHERE type='command.answered'"))
    assert len(ends) == 1


async def test_a_hub_that_goes_midway_does_it_once_and_tells_when_it_is_back(there: World) -> None:
    lamp = await there.lamp()
    there.hub.link.up(lamp)
    command_id = await _give(there.at_cloud, lamp)
    command = await there.hub.link.next()
    await there.hub.away()
    await there.hub.link.answer(command)
    assert (await _state(there.cloud, command_id))[0] in ("queued", "sent")
    await there.hub.back()
    await _ended(there.cloud, command_id, "answered")
    assert there.hub.link.sent.empty()


async def test_the_same_order_twice_is_done_once_and_answered_twice(there: World) -> None:
    lamp = await there.lamp()
    there.hub.link.up(lamp)
    taking = there.hub.api.services.streams.taking
    order = Order("c-1", there.home, lamp, there.key, "set", '{"service":"light","values":{"on":true}}', 30_000)
    assert await taking.take("cloud", [order, order]) == []
    await there.hub.link.answer(await there.hub.link.next())
    again = await taking.take("cloud", [order])
    assert [(it.command_id, it.state) for it in again] == [("c-1", "answered")]
    assert there.hub.link.sent.empty()
    other = Order("c-1", there.home, await there.lamp("d-2"), there.key, "set", order.body, 30_000)
    (refused,) = await taking.take("cloud", [other])
    assert (refused.state, refused.outcome) == ("failed", '{"error":"command_id_taken"}')


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"actor": "0" * 64}, "refused"),
    ({"actor": ""}, "refused"),
    ({"actor": "z" * 64}, "refused"),
    ({"home": "elsewhere"}, "device_not_here"),
    ({"device_id": "nothing"}, "device_not_here"),
    ({"kind": "destroy"}, "invalid"),
    ({"body": "{"}, "invalid"),
    ({"body": '{"service":"light","values":{"on":7}}'}, "value_unfit"),
    ({"kind": "message", "body": '{"service":"","message":{"content":"x"}}'}, "link_cannot"),
]


async def test_what_a_hub_does_not_do_comes_back_with_why(there: World) -> None:
    lamp = await there.lamp()
    body = '{"service":"light","values":{"on":true}}'
    fields = {"home": there.home, "device_id": lamp, "actor": there.key, "kind": "set", "body": body, "life_ms": 9_000}
    take = there.hub.api.services.streams.taking.take
    for changes, code in REFUSALS:
        (end,) = await take("cloud", [Order("c-1", **fields | changes)])  # type: ignore[arg-type]
        assert (end.state, end.outcome) == ("failed", f'{{"error":"{code}"}}'), changes
    (late,) = await take("cloud", [Order("c-1", **fields | {"life_ms": 0})])  # type: ignore[arg-type]
    assert late == CommandEnd("c-1", "expired", None)
    assert await _state(there.hub.api, "c-1") == ("none", None)


async def test_who_may_not_is_refused_by_the_hub_s_own_policy_and_the_giver_hears_why(there: World) -> None:
    lamp = await there.lamp()
    other = there.hub.api
    rosa = await other.person("rosa")
    rosa_id = str(rosa.headers["authorization"]).removeprefix("Bearer ")
    key = await other.store.read(lambda r: other.services.people.key_of_in(r, rosa_id))
    order = Order("c-9", there.home, lamp, key or "", "set", '{"service":"light","values":{"on":true}}', 9_000)
    (end,) = await other.services.streams.taking.take("cloud", [order])
    assert (end.state, end.outcome) == ("failed", '{"error":"not_found"}')


async def test_a_frozen_device_s_command_fails_with_its_code(there: World) -> None:
    lamp = await there.lamp()
    body = '{"service":"light","values":{"on":true}}'
    # Frozen at the hub, which the cloud has not heard of yet.
    await there.hub.away()
    frozen = await there.at_hub.post(f"/api/devices/{lamp}/freeze")
    assert frozen.status_code in (200, 204), frozen.text
    order = Order("c-1", there.home, lamp, there.key, "set", body, 9_000)
    (end,) = await there.hub.api.services.streams.taking.take("cloud", [order])
    assert (end.state, end.outcome) == ("failed", '{"error":"device_frozen"}')


async def test_a_wish_is_in_the_hub_s_shadow_until_it_is_met(there: World) -> None:
    lamp = await there.lamp()
    path = f"/api/devices/{lamp}/services/light/desired"
    wanted = await there.at_cloud.patch(path, json={"values": {"on": True, "brightness": 30}})
    assert wanted.status_code == 200, wanted.text
    await until(lambda: _wants(there, there.hub.api, lamp, {"on": True, "brightness": 30}))
    there.hub.link.up(lamp)
    command = await there.hub.link.next()
    assert command.body.wish
    there.hub.api.forward(10)
    await there.hub.api.services.devices.reported(lamp, "light", {"on": True, "brightness": 30})
    await _ended(there.cloud, command.id, "answered")
    assert await there.desired(there.cloud, lamp) == {"on": True, "brightness": 30}
    # And what is wanted no longer is so at the hub.
    await there.at_cloud.patch(path, json={"values": {"brightness": None}})
    await until(lambda: _wants(there, there.hub.api, lamp, {"on": True}))
    await until(lambda: _wants(there, there.cloud, lamp, {"on": True}))
    await _nothing_kept(there.cloud, there.hub.api)


async def _wants(it: World, api: Api, device_id: str, wanted: dict[str, Any]) -> bool:
    return await it.desired(api, device_id) == wanted


async def test_a_wish_under_way_is_not_hidden_by_what_the_hub_says_and_one_that_fails_is_none(there: World) -> None:
    lamp = await there.lamp()
    path = f"/api/devices/{lamp}/services/light/desired"
    assert (await there.at_hub.patch(path, json={"values": {"brightness": 10}})).status_code == 200
    await until(lambda: _wants(there, there.cloud, lamp, {"brightness": 10}))
    await there.hub.away()
    assert (await there.at_cloud.patch(path, json={"values": {"brightness": 90}})).status_code == 200
    rows = await there.cloud.store.read(lambda r: r.all("SELECT id FROM commands WHERE device_id=?", (lamp,)))
    state = await there.hub.api.store.read(lambda r: there.hub.api.services.devices.shadows.state_in(r, lamp, "light"))
    assert state.desired["brightness"].decoded == 10
    there.cloud.forward(25 * 3600 * 1000)
    await _ended(there.cloud, rows[0][0], "expired")
    assert await there.desired(there.cloud, lamp) == {"brightness": 10}


async def test_from_one_hub_over_the_cloud_to_another_and_back(there: World) -> None:
    lamp = await there.lamp()
    other = await there.second()
    at_other = await client_of(other.api, there.key)
    there.hub.link.up(lamp)
    command_id = await _give(at_other, lamp)
    command = await there.hub.link.next()
    assert command.id == command_id
    await there.hub.link.answer(command)
    for api in (there.hub.api, there.cloud, other.api):
        await _ended(api, command_id, "answered")
    await _nothing_kept(there.hub.api, there.cloud, other.api)
    assert other.link.sent.empty()


async def test_the_end_of_a_relayed_command_waits_for_the_hub_that_gave_it(there: World) -> None:
    lamp = await there.lamp()
    other = await there.second()
    at_other = await client_of(other.api, there.key)
    there.hub.link.up(lamp)
    command_id = await _give(at_other, lamp)
    command = await there.hub.link.next()
    await other.away()
    await there.hub.link.answer(command)
    await _ended(there.cloud, command_id, "answered")
    assert (await _state(other.api, command_id))[0] in ("queued", "sent")
    await other.back()
    await _ended(other.api, command_id, "answered")


async def test_a_hub_answers_for_nothing_that_it_was_not_given(there: World) -> None:
    lamp = await there.lamp()
    other = await there.second()
    there.hub.link.up(lamp)
    command_id = await _give(there.at_cloud, lamp)
    command = await there.hub.link.next()
    end = there.cloud.services.sync.cloud_end
    lie = Ended(1, [CommandEnd(command_id, "answered", '{"values":{"on":false}}')])
    assert await end.answer(other.peer, lie) == Done(1)
    assert (await _state(there.cloud, command_id))[0] in ("queued", "sent")
    await there.hub.link.answer(command)
    assert await _ended(there.cloud, command_id, "answered") == '{"values":{"on":true}}'


async def test_a_hub_relays_nothing_into_homes_that_it_does_not_serve(there: World) -> None:
    lamp = await there.lamp()
    other = await there.second()
    hubs = there.cloud.services.enrolment.hubs
    await there.cloud.store.write(lambda tx: hubs.detach_in(tx, other.id, there.home))
    body = '{"service":"light","values":{"on":true}}'
    order = Order("c-1", there.home, lamp, there.key, "set", body, 9_000)
    told: list[Any] = []

    def tell(notice: Any) -> bool:
        told.append(notice)
        return True

    closing = there.cloud.services.sync.cloud_end.connect(other.peer, tell)
    await there.cloud.services.sync.cloud_end.answer(other.peer, Relay(1, [order]))
    closing()
    (notice,) = [it for it in told if isinstance(it, EndsTold)]
    assert notice.ends == [CommandEnd("c-1", "failed", '{"error":"device_not_here"}')]
    assert (await _state(there.cloud, "c-1"))[0] == "none"


async def test_what_another_hub_holds_is_never_sent_by_a_link_of_this_one(there: World) -> None:
    lamp = await there.lamp()
    other = await there.second()
    at_other = await client_of(other.api, there.key)
    other.link.up(lamp)
    await there.hub.away()
    command_id = await _give(at_other, lamp)
    # It waits at the cloud, for the hub that holds the device.
    await _ended(there.cloud, command_id, "queued")
    assert other.link.sent.empty()


async def test_what_is_asked_of_a_group_at_the_cloud_reaches_each_of_its_devices(there: World) -> None:
    lamps = [await there.lamp(), await there.lamp("d-2")]
    made = await there.at_hub.post(f"/api/homes/{there.home}/groups", json={"name": "All", "devices": lamps})
    assert made.status_code == 201, made.text
    await level(there.hub, there.home)
    for lamp in lamps:
        there.hub.link.up(lamp)
    asked = await there.at_cloud.post(f"/api/groups/{made.json()['id']}/commands", json=ON)
    assert asked.status_code == 202, asked.text
    ids = {each["id"] for each in asked.json()["commands"]}
    commands = [await there.hub.link.next(), await there.hub.link.next()]
    assert {each.id for each in commands} == ids
    for command in commands:
        await there.hub.link.answer(command)
    for command_id in ids:
        await _ended(there.cloud, command_id, "answered")


async def test_nothing_acknowledged_is_lost_when_the_hub_stops_before_the_device_has_it(
    there: World, tmp_path: Path
) -> None:
    lamp = await there.lamp()
    command_id = await _give(there.at_cloud, lamp, ON | {"expires_in": 3600})
    await _ended(there.hub.api, command_id, "queued")
    await there.hub.away()
    await there.hub.api.services.sync.close()
    await there.hub.api.services.stop()
    await there.hub.api.store.close()
    async with Api(tmp_path / "hub") as again:
        hub = HubSide(there.cloud, again)
        hub.node = there.hub.node
        hub.start()
        hub.link.up(lamp)
        command = await hub.link.next()
        assert command.id == command_id
        await hub.link.answer(command)
        await _ended(there.cloud, command_id, "answered")
        await again.services.sync.close()
    # So that the fixture can close it once more.
    await there.hub.api.__aenter__()


async def test_a_flood_of_orders_is_bounded(there: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.sync.relay.MOST_IN_FLIGHT", 2)
    lamp = await there.lamp()
    there.hub.link.up(lamp)
    ids = [await _give(there.at_cloud, lamp) for _ in range(5)]
    async with asyncio.timeout(20):
        for command_id in ids:
            command = await there.hub.link.next()
            assert command.id == command_id
            await there.hub.link.answer(command)
    for command_id in ids:
        await _ended(there.cloud, command_id, "answered")
