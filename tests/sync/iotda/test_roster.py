"""The list of sub-devices against the home, and against whatever the platform says of it; on a real database."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, cast

import aiomqtt
import httpx2
import pytest
import pytest_asyncio

from app.caller import BY_SYSTEM
from app.devices.model import NewDevice
from app.errors import DoorstepError
from app.links.iotda.codec import event_paras as paras
from app.links.iotda.codec import topics
from app.links.iotda.codec.errors import IotdaError
from app.sync.iotda import mapping, queries, roster
from app.sync.iotda.conversation import Conversation, Parts
from app.sync.iotda.model import Result, Stage, Upstream
from app.sync.iotda.requests import MOST_OPEN
from app.sync.iotda.roster import Effect
from tests.api.harness import Api
from tests.api.things import bind, home_of
from tests.links.mangling import mangled

GATEWAY = "gateway_1"
NOT_CHILD = "IOTDA.014041"
EXAMPLES = json.loads((Path(__file__).parents[3] / "fixtures" / "iotda" / "mqtt_examples.json").read_text())
SAMPLE, FULL = 1_000, 100_000
_numbers = count(1)


class Desk:
    """A home that is attached, and nobody connected: what a platform says is said by the test."""

    def __init__(self, api: Api, client: httpx2.AsyncClient, home_id: str) -> None:
        self.api = api
        self.client = client
        self.home_id = home_id
        self.upstreams = api.services.upstreams

    async def bind(self, hardware: str, product: str = "lamp") -> str:
        """A device of the home."""
        return await bind(self.api, self.home_id, f"{hardware}-{self.home_id}", product=product)

    async def attach(self) -> Any:
        body = {"url": "mqtt://127.0.0.1:9", "device_id": GATEWAY, "secret": "a-secret-of-24-letters.."}
        answer = await self.client.put(f"/api/homes/{self.home_id}/iotda-upstream", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def upstream(self) -> Upstream:
        found = await self.api.store.read(lambda reader: queries.upstream(reader, self.home_id))
        assert found is not None
        return found

    async def reconcile(self) -> Effect:
        return await self.api.store.write(lambda tx: roster.reconcile_in(tx, self.home_id))

    async def hear(self, act: Any, *said: Any) -> Any:
        """One of the roster's acts."""
        return await self.api.store.write(lambda tx: act(tx, self.home_id, *said))

    async def stages(self) -> dict[str, str]:
        """By the platform's id."""
        rows = await self.api.store.read(lambda reader: queries.devices(reader, self.home_id))
        return {row.remote_id: row.stage.value for row in rows}

    async def added(self, *device_ids: str) -> Effect:
        """The platform has taken these lamps."""
        await self.reconcile()
        found = tuple(paras.Child(device_id=f"lamp_{each}", node_id=each) for each in device_ids)
        effect: Effect = await self.hear(roster.added_in, answered(*found))
        return effect

    async def take(self, kind: topics.Kind, request_id: str, payload: Any) -> Any:
        """A request of the platform's."""
        topic = topics.Topic(kind, GATEWAY, request_id)
        return await self.upstreams.requests.take(await self.upstream(), topic, json.dumps(payload).encode())

    async def reply(self) -> Any:
        """The next answer that is owed, which the platform then has."""
        found = await self.upstreams.requests.next_reply(self.home_id)
        if found is not None:
            await self.upstreams.requests.answered(self.home_id, found)
        return found

    async def commands(self, device_id: str) -> list[Any]:
        found = await self.client.get(f"/api/devices/{device_id}/commands")
        return list(found.json()["items"])


def answered(*there: paras.Child, failed: tuple[paras.Reason, ...] = ()) -> paras.AddedChildren:
    return paras.AddedChildren(successful_devices=there, failed_devices=failed)


def listed(*there: str, version: int = 1) -> paras.ChildrenAdded:
    return paras.ChildrenAdded(devices=tuple(paras.Child(device_id=each) for each in there), version=version)


def let_go(*gone: str, version: int) -> paras.ChildrenDeleted:
    return paras.ChildrenDeleted(devices=tuple(paras.ChildGone(device_id=each) for each in gone), version=version)


def deleted(*gone: str, **failed: str) -> paras.DeletedChildren:
    reasons = tuple(paras.Reason(device_id=each, error_code=code, error_msg="no") for each, code in failed.items())
    return paras.DeletedChildren(successful_devices=gone, failed_devices=reasons)


def setting(device_id: str, **values: Any) -> Any:
    services = [{"service_id": "Light", "properties": values}]
    return {"object_device_id": f"lamp_{device_id}", "services": services}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    async with Api(tmp_path_factory.mktemp("hub")) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="module")
async def desk(api: Api) -> Desk:
    """A home of its own."""
    client = await api.person(f"anna-{next(_numbers)}")
    made = Desk(api, client, await home_of(client))
    await made.attach()
    return made


# the list


async def test_what_is_new_is_wanted_and_what_left_is_deleted(desk: Desk) -> None:
    lamp, other = await desk.bind("d-1"), await desk.bind("d-2")
    effect = await desk.added(lamp)
    assert effect.come == {lamp: f"lamp_{lamp}"}
    assert await desk.stages() == {f"lamp_{lamp}": "there", f"lamp_{other}": "wanted"}
    for each in (lamp, other):
        assert (await desk.client.delete(f"/api/devices/{each}")).status_code == 204
    # What was perhaps asked for, and not answered, may be there as well.
    assert (await desk.reconcile()).gone == {lamp, other}
    gone = await desk.api.store.read(lambda reader: roster.deletions(reader, desk.home_id))
    assert set(gone) == {f"lamp_{lamp}", f"lamp_{other}"}
    await desk.hear(roster.deleted_in, deleted(f"lamp_{lamp}", **{f"lamp_{other}": NOT_CHILD}))
    assert await desk.stages() == {}


async def test_what_the_platform_does_not_delete_is_asked_for_at_the_next_connection(desk: Desk) -> None:
    lamp = await desk.bind("d-1")
    await desk.added(lamp)
    await desk.client.delete(f"/api/devices/{lamp}")
    await desk.reconcile()
    remaining = partial(roster.deletions, home_id=desk.home_id)
    refused = deleted(**{f"lamp_{lamp}": "IOTDA.014018"})
    for hear, said in ((roster.deleted_in, refused), (roster.unmentioned_in, (f"lamp_{lamp}",))):
        await desk.hear(hear, said)
        assert await desk.api.store.read(remaining) == ()
        assert await desk.stages() == {f"lamp_{lamp}": "leaving"}
        await desk.hear(queries.ask_again)
        assert await desk.api.store.read(remaining) == (f"lamp_{lamp}",)


async def test_what_is_refused_or_not_mentioned_is_asked_for_again_later(desk: Desk) -> None:
    lamp, other = await desk.bind("d-1"), await desk.bind("d-2")
    await desk.reconcile()
    reason = paras.Reason(node_id=lamp, product_id="lamp", error_code="IOTDA.013014", error_msg="no product")
    await desk.hear(roster.added_in, answered(failed=(reason,)))
    await desk.hear(roster.unmentioned_in, (f"lamp_{lamp}", f"lamp_{other}"))
    assert set((await desk.stages()).values()) == {"refused"}
    shown = (await desk.client.get(f"/api/homes/{desk.home_id}/iotda-upstream")).json()
    assert {each["device_id"]: each["why"] for each in shown["apart"]} == {
        lamp: "IOTDA.013014 no product",
        other: roster.NOT_ANSWERED,
    }
    await desk.reconcile()
    assert set((await desk.stages()).values()) == {"refused"}
    await desk.hear(queries.ask_again)
    assert set((await desk.stages()).values()) == {"wanted"}


async def test_the_platform_may_choose_another_id(desk: Desk) -> None:
    lamp = await desk.bind("d-1")
    await desk.reconcile()
    effect = await desk.hear(roster.added_in, answered(paras.Child(device_id="theirs", node_id=lamp)))
    assert effect.come == {lamp: "theirs"}
    assert (await desk.reconcile()).gone == set()
    assert await desk.stages() == {"theirs": "there"}


async def test_a_device_that_is_another_product_now_is_another_there(desk: Desk) -> None:
    lamp = await desk.bind("d-1")
    await desk.added(lamp)
    assert await desk.bind("d-1", product="plug") == lamp
    assert (await desk.reconcile()).gone == {lamp}
    assert await desk.stages() == {f"lamp_{lamp}": "leaving", f"plug_{lamp}": "wanted"}


async def test_a_deletion_told_twice_counts_once(desk: Desk) -> None:
    lamp = await desk.bind("d-1")
    await desk.added(lamp)
    notice = let_go(f"lamp_{lamp}", version=5)
    assert (await desk.hear(roster.let_go_in, notice)).gone == {lamp}
    assert await desk.stages() == {f"lamp_{lamp}": "removed"}
    await desk.reconcile()
    assert await desk.stages() == {f"lamp_{lamp}": "removed"}
    await desk.bind("d-1")
    await desk.added(lamp)
    assert (await desk.hear(roster.let_go_in, notice)).gone == set()
    assert await desk.stages() == {f"lamp_{lamp}": "there"}
    assert (await desk.upstream()).list_version == 5


async def test_what_was_let_go_before_it_was_attached_is_added(desk: Desk) -> None:
    lamp = await desk.bind("d-1")
    await desk.reconcile()
    await desk.hear(roster.let_go_in, let_go(f"lamp_{lamp}", "lamp_of_somebody", version=3))
    assert await desk.stages() == {f"lamp_{lamp}": "wanted"}
    effect = await desk.hear(roster.listed_in, listed(f"lamp_{lamp}", "lamp_of_somebody", version=4))
    assert effect.come == {lamp: f"lamp_{lamp}"}
    assert await desk.stages() == {f"lamp_{lamp}": "there"}


async def test_a_platform_restored_from_a_backup_gets_again_what_it_lost_once(desk: Desk) -> None:
    lamp = await desk.bind("d-1")
    await desk.added(lamp)
    reason = paras.Reason(device_id=f"lamp_{lamp}", error_code=NOT_CHILD, error_msg="not yours")
    lost = paras.StatusesUpdated(successful_devices=(), failed_devices=(reason,))
    assert (await desk.hear(roster.missing_in, lost)).gone == {lamp}
    assert await desk.stages() == {f"lamp_{lamp}": "wanted"}
    await desk.added(lamp)
    await desk.hear(roster.missing_in, lost, {f"lamp_{lamp}"})
    assert await desk.stages() == {f"lamp_{lamp}": "refused"}


async def test_attached_elsewhere_everything_begins_anew(desk: Desk) -> None:
    lamp = await desk.bind("d-1")
    await desk.added(lamp)
    await desk.hear(roster.let_go_in, let_go(version=7))
    assert (await desk.attach())["devices"]["there"] == 1
    body = {"url": "mqtt://127.0.0.1:10", "device_id": GATEWAY, "secret": "a-secret-of-24-letters.."}
    made = (await desk.client.put(f"/api/homes/{desk.home_id}/iotda-upstream", json=body)).json()
    assert (made["devices"]["there"], made["list_version"]) == (0, 0)


# requests


async def test_a_repeated_request_is_done_once(desk: Desk) -> None:
    lamp = await desk.bind("d-1")
    await desk.added(lamp)
    for _ in range(3):
        assert await desk.take(topics.Kind.SET, "r1", setting(lamp, brightness=300)) is None
    (command,) = await desk.commands(lamp)
    assert await desk.reply() is None
    await desk.api.services.control.answered(lamp, command["id"], ok=True, values={}, error=None)
    assert (await desk.reply()).payload.result_code == Result.OK
    assert await desk.take(topics.Kind.SET, "r1", setting(lamp, brightness=300)) is None
    assert await desk.reply() is None
    assert len(await desk.commands(lamp)) == 1


async def test_of_several_services_all_are_done_or_none(desk: Desk) -> None:
    lamp = await desk.bind("d-1")
    await desk.added(lamp)
    good, bad = setting(lamp, brightness=300)["services"], setting(lamp, brightness="much")["services"]
    await desk.take(topics.Kind.SET, "r1", {**setting(lamp), "services": [*good, *bad]})
    assert (await desk.reply()).payload.result_code == Result.UNFIT
    assert await desk.commands(lamp) == []


async def test_what_is_not_on_the_list_is_not_commanded(desk: Desk) -> None:
    lamp, other = await desk.bind("d-1"), await desk.bind("d-2")
    client = await desk.api.person(f"bob-{desk.home_id}")
    neighbours = await bind(desk.api, await home_of(client), "d-3")
    await desk.added(lamp)
    for number, device_id in enumerate((other, neighbours, "nobody")):
        await desk.take(topics.Kind.SET, f"r{number}", setting(device_id, brightness=300))
        assert (await desk.reply()).payload.result_code == Result.UNKNOWN
    assert await desk.commands(other) == []


async def test_who_may_command_but_not_show_the_home_is_refused(desk: Desk) -> None:
    lamp = await desk.bind("d-1")
    await desk.added(lamp)
    upstream = await desk.upstream()
    bob = await desk.api.person(f"bob-{desk.home_id}")
    made = (await desk.client.post(f"/api/homes/{desk.home_id}/invitations", json={"role": "admin"})).json()
    assert (await bob.post("/api/invitations/accept", json={"code": made["code"]})).is_success
    account_id = str(bob.headers["authorization"]).removeprefix("Bearer ")
    theirs = Upstream(upstream.home_id, upstream.url, GATEWAY, None, account_id, 0, upstream.attached_at, None)
    topic = topics.Topic(topics.Kind.SET, GATEWAY, "r1")
    await desk.upstreams.requests.take(theirs, topic, json.dumps(setting(lamp, brightness=300)).encode())
    assert (await desk.reply()).payload.result_code == Result.REFUSED
    assert await desk.commands(lamp) == []
    with pytest.raises(DoorstepError):
        desk.upstreams.demand_held(theirs)


async def test_a_flood_is_answered_at_once_and_fills_nothing(desk: Desk) -> None:
    lamp = await desk.bind("d-1")
    await desk.added(lamp)
    for number in range(MOST_OPEN):
        assert await desk.take(topics.Kind.SET, f"r{number}", setting(lamp, brightness=300)) is None
    reply = await desk.take(topics.Kind.SET, "one more", setting(lamp, brightness=300))
    assert reply.payload.result_code == Result.BUSY
    assert (await desk.take(topics.Kind.COMMAND, "broken", "no object")).payload.result_code == Result.FAILED


async def test_answered_requests_make_room(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MOST_REQUESTS", 5)
    for number in range(20):
        await desk.take(topics.Kind.SET, f"r{number}", setting("nobody", brightness=300))
        assert (await desk.reply()).request_id == f"r{number}"
    sql = "SELECT count(*) FROM iotda_upstream_requests WHERE home_id=?"
    row = await desk.api.store.read(lambda reader: reader.one(sql, (desk.home_id,)))
    assert row == (5,)


async def test_a_gateway_that_is_reset_has_nothing_to_forget(desk: Desk) -> None:
    told = {"service_id": "$device", "command_name": "factory_reset", "paras": {}}
    await desk.take(topics.Kind.COMMAND, "r1", told)
    assert (await desk.reply()).payload.result_code == Result.OK
    await desk.take(topics.Kind.COMMAND, "r2", {**told, "command_name": "explode"})
    assert (await desk.reply()).payload.result_code == Result.UNKNOWN


async def test_an_answer_that_was_lost_on_the_way_is_said_again(desk: Desk) -> None:
    await desk.take(topics.Kind.SET, "r1", setting("nobody", brightness=300))
    with pytest.raises(aiomqtt.MqttError):
        await conversation(desk, await desk.upstream(), Nobody(lost="/response/"))._tell()
    client = Nobody()
    telling = asyncio.create_task(conversation(desk, await desk.upstream(), client)._tell())
    async with asyncio.timeout(30):
        while not (await client.taken.get()).endswith("sys/properties/set/response/request_id=r1"):
            pass
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)


async def test_what_is_owed_is_known_after_a_restart(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        client = await api.person("anna")
        desk = Desk(api, client, await home_of(client))
        await desk.attach()
        lamp = await desk.bind("d-1")
        await desk.added(lamp)
        await desk.take(topics.Kind.SET, "r1", setting(lamp, brightness=300))
        await desk.take(topics.Kind.SET, "r2", setting("nobody", brightness=300))
        (command,) = await desk.commands(lamp)
    async with Api(tmp_path) as api:
        desk = Desk(api, api.client(), desk.home_id)
        await desk.upstreams.requests.look_again(desk.home_id)
        assert (await desk.reply()).request_id == "r2"
        assert await desk.reply() is None
        await api.services.control.answered(lamp, command["id"], ok=True, values={}, error=None)
        assert (await desk.reply()).request_id == "r1"


# whatever comes


class Nobody:
    """A connection on which all is taken and nothing said; or nothing is taken of what has `lost` in its topic."""

    def __init__(self, lost: str = "nothing") -> None:
        self._lost = lost
        self.taken: asyncio.Queue[str] = asyncio.Queue()

    async def publish(self, topic: str, payload: bytes, **how: Any) -> None:
        """Taken, or the connection ends."""
        if self._lost in topic:
            raise aiomqtt.MqttError("lost")
        self.taken.put_nowait(topic)


def conversation(desk: Desk, upstream: Upstream, client: Nobody | None = None) -> Conversation:
    parts = Parts(
        desk.api.store,
        desk.api.services.devices,
        desk.upstreams.requests,
        desk.upstreams.wishes,
        demand=desk.upstreams.demand_held,
        heard=lambda home_id: None,
        batch_sent=lambda: None,
    )
    return Conversation(parts, upstream, cast("aiomqtt.Client", client or Nobody()))


@pytest.mark.parametrize("times", [SAMPLE, pytest.param(FULL, marks=pytest.mark.full)])
async def test_whatever_a_platform_says_nothing_breaks(desk: Desk, times: int) -> None:
    lamp = await desk.bind("d-1")
    await desk.added(lamp)
    said = [json.dumps(each["example"]) for each in [*EXAMPLES["topics"], *EXAMPLES["events"]] if each["example"]]
    seeds = [*(text.encode() for text in said), json.dumps(setting(lamp, brightness=300)).encode()]
    seeds += [each.replace(b'"version":1', b'"version":99999999999999999999999') for each in seeds]
    talk, dice = conversation(desk, await desk.upstream()), random.Random("upstream")
    kinds = sorted(topics.DOWN)
    for number in range(times):
        topic = topics.Topic(dice.choice(kinds), GATEWAY, f"r{number}")
        try:
            await talk._heard(topic, mangled(dice, seeds))
        except IotdaError:
            continue
    assert f"lamp_{lamp}" in await desk.stages()
    assert await desk.reconcile() is not None


async def test_a_version_that_is_none_is_malformed(desk: Desk) -> None:
    for version in (-1, 1 << 63):
        for act, said in ((roster.listed_in, listed(version=version)), (roster.let_go_in, let_go(version=version))):
            with pytest.raises(IotdaError):
                await desk.hear(act, said)


async def test_a_device_that_is_gone_is_no_addition(desk: Desk) -> None:
    lamp = await desk.bind("d-1")
    await desk.reconcile()
    await desk.client.delete(f"/api/devices/{lamp}")
    assert await desk.api.store.read(lambda reader: roster.additions(reader, desk.home_id, GATEWAY)) == ()
    assert await desk.stages() == {f"lamp_{lamp}": Stage.WANTED}


async def test_only_so_many_go_into_one_request(desk: Desk) -> None:
    new = [NewDevice(home_id=desk.home_id, hardware_id=f"d-{n}-{desk.home_id}", product_id="lamp") for n in range(120)]
    bind_in = desk.api.services.devices.bind_in
    await desk.api.store.write(lambda tx: [bind_in(tx, BY_SYSTEM, each) for each in new])
    await desk.reconcile()
    seen: list[int] = []
    while found := await desk.api.store.read(lambda reader: roster.additions(reader, desk.home_id, GATEWAY)):
        seen.append(len(found))
        assert all(each.device_id == f"lamp_{each.node_id}" for each in found)
        there = tuple(paras.Child(device_id=str(each.device_id), node_id=each.node_id) for each in found)
        await desk.hear(roster.added_in, answered(*there))
    assert seen == [50, 50, 20]
    assert mapping.MAX_OCTETS
