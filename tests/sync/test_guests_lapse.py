"""A hub whose cloud is silent: guests lapse there after a week, who lives in the home does not (PROTOCOL.md 4)."""

import httpx2
import pytest

from app.homes.standing import GUESTS_LAPSE_MS, ends
from app.policy import Role
from app.sync.contact import NOTED_EVERY_MS
from tests.api.households import join, new_home
from tests.api.things import bind
from tests.sync.together import Together
from tests.waiting import until

HOUR_MS = 3_600_000


async def contact(together: Together) -> int:
    row = await together.hub.store.read(
        lambda reader: reader.one("SELECT contact_at FROM sync_homes WHERE home_id=?", (together.home_id,))
    )
    return int(row[0]) if row is not None else 0


async def statuses(together: Together, client: httpx2.AsyncClient, device_id: str) -> tuple[int, int, int]:
    """Reading the home, reading a device of it, and a write about that."""
    values = {"service": "light", "values": {"on": True}}
    answers = [
        await client.get(together.home),
        await client.get(f"/api/devices/{device_id}"),
        await client.post(f"/api/devices/{device_id}/commands", json=values),
    ]
    return answers[0].status_code, answers[1].status_code, answers[2].status_code


async def test_guests_lapse_a_week_after_the_last_contact_and_others_do_not(together: Together) -> None:
    hub, device_id = together.hub, await bind(together.hub, together.home_id, "d-lamp")
    people = {role: await hub.person(role) for role in ("guest", "narrow", "member", "admin")}
    for name, client in people.items():
        terms = {"only": [device_id]} if name == "narrow" else {}
        await together.invited(client, "guest" if name == "narrow" else name, by=together.at_hub, **terms)
    await together.level()
    together.door.cut()
    hub.forward(GUESTS_LAPSE_MS - HOUR_MS)
    for name, client in people.items():
        assert await statuses(together, client, device_id) == (200, 200, 202), name
    late = await hub.person("late")
    await together.invited(late, "guest", by=together.at_hub)
    hub.forward(2 * HOUR_MS)
    for name in ("guest", "narrow"):
        assert await statuses(together, people[name], device_id) == (404, 404, 404), name
    for client in (people["member"], people["admin"], late):
        assert await statuses(together, client, device_id) == (200, 200, 202)
    hub.forward(GUESTS_LAPSE_MS)
    assert await statuses(together, late, device_id) == (404, 404, 404)
    assert await statuses(together, people["member"], device_id) == (200, 200, 202)
    together.door.up.set()
    await together.level()
    await until(lambda: people["guest"].get(together.home), lambda it: it.status_code == 200)
    for client in (*people.values(), late):
        assert await statuses(together, client, device_id) == (200, 200, 202)


async def test_without_a_trusted_clock_a_guest_of_a_home_with_a_cloud_is_refused(together: Together) -> None:
    guest = await together.hub.person("guest")
    await together.invited(guest, "guest", by=together.at_hub)
    together.hub.clock.trusted = False
    refused = await guest.get(together.home)
    assert (refused.status_code, refused.json()["code"]) == (403, "clock_untrusted")
    assert (await together.at_hub.get(together.home)).status_code == 200


async def test_neither_at_the_cloud_nor_where_there_is_none(together: Together) -> None:
    alone = await new_home(together.at_hub)
    at_hub, at_cloud = await together.hub.person("guest"), await together.cloud.person("guest")
    await join(together.hub, alone, at_hub, "guest")
    await together.invited(at_cloud, "guest", by=together.at_cloud)
    together.door.cut()
    together.hub.forward(2 * GUESTS_LAPSE_MS)
    together.cloud.forward(2 * GUESTS_LAPSE_MS)
    assert (await at_hub.get(alone)).status_code == 200
    assert (await at_cloud.get(together.home)).status_code == 200


async def test_the_last_contact_is_kept_on_disk_and_not_all_the_time(together: Together) -> None:
    first = await contact(together)
    assert first == together.hub.services.standings.contacts.get(together.home_id)
    for name in ("Kitchen", "Bath", "Hall"):
        await together.at_hub.post(f"{together.home}/rooms", json={"name": name})
        await together.level()
    assert await contact(together) == first
    together.hub.forward(NOTED_EVERY_MS)
    await together.at_hub.post(f"{together.home}/rooms", json={"name": "Attic"})
    await together.level()
    await until(lambda: contact(together), lambda at: at >= first + NOTED_EVERY_MS)
    assert together.hub.services.standings.contacts.get(together.home_id) == await contact(together)


async def test_a_home_that_leaves_its_cloud_has_guests_as_before(together: Together) -> None:
    guest = await together.hub.person("guest")
    await together.invited(guest, "guest", by=together.at_hub)
    await together.level()
    await together.hub.services.sync.leave_cloud()
    together.hub.forward(2 * GUESTS_LAPSE_MS)
    assert (await guest.get(together.home)).status_code == 200


@pytest.mark.parametrize(
    ("role", "until", "joined", "contact", "end"),
    [
        (Role.GUEST, None, 5, None, None),
        (Role.GUEST, 9, 5, None, 9),
        (Role.GUEST, None, 5, 7, 7 + GUESTS_LAPSE_MS),
        (Role.GUEST, None, 8, 7, 8 + GUESTS_LAPSE_MS),
        (Role.GUEST, 9, 8, 7, 9),
        (Role.GUEST, 10 * GUESTS_LAPSE_MS, 8, 7, 8 + GUESTS_LAPSE_MS),
        (Role.MEMBER, None, 5, 7, None),
        (Role.OWNER, None, 5, 0, None),
    ],
)
def test_when_a_membership_ends(role: Role, until: int | None, joined: int, contact: int | None, end: int) -> None:
    assert ends(role, until, joined, contact) == end
