"""The log of a device and the audit trail of a home over the companion API."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from app.clock import to_time
from app.journal import queries
from app.journal.model import EntryView, Kind
from app.journal.queries import Wanted
from app.store.tx import Reader, Row
from tests.api.harness import Api
from tests.api.households import account_of
from tests.api.things import bind, home_of

ON = {"service": "light", "values": {"on": True}}


async def test_what_a_device_did_and_was_told_newest_first(api: Api) -> None:
    anna = await api.person("anna")
    device_id = await bind(api, await home_of(anna))
    devices, path = api.services.devices, f"/api/devices/{device_id}/journal"
    devices.online(device_id, "lan")
    await devices.reported(device_id, "light", {"on": False, "brightness": 500})
    command = (await anna.post(f"/api/devices/{device_id}/commands", json=ON)).json()
    await api.services.control.answered(device_id, command["id"], ok=True, values={"on": True}, error=None)
    entries = (await anna.get(path)).json()["items"]
    assert {entry["type"] for entry in entries} == {"added", "online", "report", "command", "answer"}
    assert [entry["id"] for entry in entries] == sorted((entry["id"] for entry in entries), reverse=True)
    told = next(entry for entry in entries if entry["type"] == "command")
    assert (told["source"], told["value"]["id"], told["code"]) == (command["account_id"], command["id"], "light")
    reports = (await anna.get(path, params={"type": "report", "code": "on"})).json()["items"]
    assert [(entry["value"], entry["source"]) for entry in reports] == [(True, "device"), (False, "device")]


async def test_the_log_is_read_by_time_and_in_pages(api: Api) -> None:
    anna = await api.person("anna")
    device_id = await bind(api, await home_of(anna))
    path = f"/api/devices/{device_id}/journal"
    now = api.clock.now().ms
    for hour in range(6):
        at = now - hour * 3_600_000
        await api.services.devices.reported(device_id, "light", {"brightness": 100 + hour}, at)
    since = to_time(now) - timedelta(hours=4, minutes=30)
    before = to_time(now) - timedelta(minutes=30)
    wanted: dict[str, Any] = {"type": "report", "since": since.isoformat(), "before": before.isoformat(), "limit": 3}
    first = (await anna.get(path, params=wanted)).json()
    rest = (await anna.get(path, params={**wanted, "cursor": first["next"]})).json()
    assert [entry["value"] for entry in first["items"] + rest["items"]] == [104, 103, 102, 101]
    assert rest["next"] is None
    assert (await anna.get(path, params={"since": "yesterday"})).status_code == 400
    assert (await anna.get(path, params={"type": "nonsense"})).status_code == 400


async def test_a_time_no_clock_would_say_is_not_taken(api: Api) -> None:
    anna = await api.person("anna")
    device_id = await bind(api, await home_of(anna))
    now = api.clock.now().ms
    for at in (0, now + 86_400_000):
        await api.services.devices.reported(device_id, "light", {"on": True}, at)
    times = await api.store.read(lambda r: [at for (at,) in r.all("SELECT at FROM journal WHERE type='report'")])
    assert len(times) == 2
    assert all(now <= at <= api.clock.now().ms for at in times)


async def test_the_next_home_does_not_read_what_was_in_the_last(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    device_id = await bind(api, await home_of(anna))
    await api.services.devices.reported(device_id, "light", {"on": True})
    assert (await anna.delete(f"/api/devices/{device_id}")).status_code == 204
    again = await bind(api, await home_of(ben))
    entries = (await ben.get(f"/api/devices/{again}/journal")).json()["items"]
    assert [entry["type"] for entry in entries] == ["added"]


async def test_the_audit_trail_names_who_did_what(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    device_id = await bind(api, home_id)
    await anna.patch(f"/api/devices/{device_id}", json={"name": "Porch"})
    await anna.post(f"/api/devices/{device_id}/commands", json=ON)
    path = f"/api/homes/{home_id}/audit"
    acts = (await anna.get(path)).json()["items"]
    account = anna.headers["authorization"].removeprefix("Bearer ")
    assert [(act["type"], act["account_id"]) for act in acts[:3]] == [
        ("command.created", account),
        ("device.updated", account),
        ("device.added", None),
    ]
    assert all(act["credential_id"] for act in acts[:2])
    page = (await anna.get(path, params={"limit": 1})).json()
    following = (await anna.get(path, params={"limit": 1, "cursor": page["next"]})).json()
    assert [*page["items"], *following["items"]] == acts[:2]


async def test_several_kinds_and_codes_at_once(api: Api) -> None:
    anna = await api.person("anna")
    device_id = await bind(api, await home_of(anna))
    path = f"/api/devices/{device_id}/journal"
    api.services.devices.online(device_id, "lan")
    for n in range(3):
        await api.services.devices.reported(device_id, "light", {"on": True, "brightness": 100 + n, "wings": n})

    async def found(**wanted: Any) -> list[tuple[str, str]]:
        answer = await anna.get(path, params=wanted)
        assert answer.status_code == 200, answer.text
        return [(entry["type"], entry["code"]) for entry in answer.json()["items"]]

    assert set(await found(type=["online", "added"])) == {("online", ""), ("added", "")}
    both = await found(type=["report", "unfit"], code=["brightness", "wings"])
    assert sorted(both) == [("report", "brightness")] * 3 + [("unfit", "wings")] * 3
    assert await found(code=["on"]) == [("report", "on")] * 3
    # They are in one order, and come in pages as if they were one kind.
    first = (await anna.get(path, params={"type": ["report", "unfit"], "limit": 4})).json()
    rest = (await anna.get(path, params={"type": ["report", "unfit"], "limit": 9, "cursor": first["next"]})).json()
    ids = [entry["id"] for entry in first["items"] + rest["items"]]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 9
    for wrong in ({"type": ["report", "nonsense"]}, {"code": ["x"] * 65}, {"code": ["x" * 65]}):
        assert (await anna.get(path, params=wrong)).status_code == 400, wrong


async def test_faces_that_number_their_pages_find_the_same(api: Api) -> None:
    anna = await api.person("anna")
    device_id = await bind(api, await home_of(anna))
    trail, actor = api.services.trail, api.actor(account_of(anna))
    for n in range(25):
        await api.services.devices.reported(device_id, "light", {"brightness": 100 + n, "on": True})
    for wanted in (
        Wanted(),
        Wanted(types=frozenset({Kind.REPORT, Kind.ADDED}), codes=frozenset({"brightness", ""})),
        Wanted(types=frozenset({Kind.RESET})),
    ):
        whole = await trail.of_device(actor, device_id, wanted, 100)
        assert await trail.count(actor, device_id, wanted) == len(whole)
        numbered = [await trail.of_device(actor, device_id, wanted, 7, offset=7 * page) for page in range(9)]
        assert [entry for page in numbered for entry in page] == whole
        places, place = list[EntryView](), None
        while page := await trail.of_device(actor, device_id, replace(wanted, place=place), 7):
            places += page
            place = page[-1].id
            assert await trail.count(actor, device_id, replace(wanted, place=place)) == len(whole)
        assert places == whole


async def test_a_rare_kind_is_found_without_reading_the_others(api: Api) -> None:
    device_id = await bind(api, await home_of(await api.person("anna")))

    def plan(reader: Reader) -> str:
        explained = list[str]()
        ask = reader.all

        class Explaining(Reader):
            def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
                explained.extend(str(row[3]) for row in ask(f"EXPLAIN QUERY PLAN {sql}", args))
                return []

        queries.entries(Explaining(reader.db), device_id, "h", Wanted(types=frozenset({Kind.RESET, Kind.LOG})), 20)
        return "\n".join(explained)

    steps = await api.store.read(plan)
    assert steps.count("journal_type") == 2
    assert "SCAN journal" not in steps
