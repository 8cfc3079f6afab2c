"""The log of a device and the audit trail of a home over the companion API."""

from datetime import timedelta
from typing import Any

from app.clock import to_time
from tests.api.harness import Api
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
