"""Sharing over the companion API: offered, accepted, refused, changed, ended, in time and within hours."""

import asyncio
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
import pytest

from app.caller import BY_SYSTEM
from app.clock import to_time
from app.policy import Action, Actor, Verdict, allowed
from app.store.retention import KEEP, Keep
from tests.api.harness import Api
from tests.api.households import account_of, join, new_home
from tests.api.listening import Listening
from tests.api.things import bind

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
BERLIN = ZoneInfo("Europe/Berlin")
EVERY_DAY = [0, 1, 2, 3, 4, 5, 6]
ON = {"kind": "set", "service": "light", "values": {"on": True}}


class Household:
    """Anna's home with a lamp; Rosa is nobody there."""

    def __init__(self, api: Api, home: str, lamp: str, anna: httpx2.AsyncClient, rosa: httpx2.AsyncClient) -> None:
        self.api, self.home, self.lamp, self.anna, self.rosa = api, home, lamp, anna, rosa
        self.shares = f"/api/devices/{lamp}/shares"

    async def share(self, **fields: Any) -> dict[str, Any]:
        made = await self.anna.post(self.shares, json=fields)
        assert made.status_code == 201, made.text
        return dict(made.json())

    async def given(self, **fields: Any) -> str:
        """A share with Rosa, accepted; returns its path for Anna."""
        made = await self.share(login="rosa", **fields)
        share_id = made["share"]["id"]
        accepted = await self.rosa.post(f"/api/me/shares/{share_id}/accept")
        assert accepted.status_code == 200, accepted.text
        return f"{self.home}/shares/{share_id}"

    async def may(self, who: httpx2.AsyncClient, action: Action) -> Verdict:
        """What policy says to them on the lamp, by memory and by disk, which must agree."""
        actor, now, access = Actor(account_of(who)), self.api.clock.now(), self.api.services.devices.access
        by_memory = access.device(actor, self.lamp)
        by_disk = await self.api.store.read(lambda r: access.device_in(r, actor, self.lamp))
        verdicts = {allowed(actor, action, resource, now).verdict for resource in (by_memory, by_disk)}
        assert len(verdicts) == 1
        return verdicts.pop()


@pytest.fixture
async def house(api: Api) -> Household:
    anna, rosa = await api.person("anna"), await api.person("rosa")
    home = await new_home(anna)
    lamp = await bind(api, home.rpartition("/")[2], name="Lamp")
    return Household(api, home, lamp, anna, rosa)


async def test_an_offer_gives_nothing_until_it_is_accepted(house: Household) -> None:
    made = (await house.share(login="rosa"))["share"]
    assert (made["state"], made["receiver_id"], made["receiver_name"]) == ("pending", None, None)
    assert await house.may(house.rosa, Action.DEVICE_READ) is Verdict.HIDDEN
    (offer,) = (await house.rosa.get("/api/me/shares")).json()["items"]
    assert (offer["given_by"], offer["thing_name"], offer["time_zone"]) == ("anna", "Lamp", "Europe/Berlin")
    assert (await house.rosa.post(f"/api/me/shares/{offer['id']}/accept")).json()["state"] == "accepted"
    assert await house.may(house.rosa, Action.DEVICE_CONTROL) is Verdict.YES
    assert await house.may(house.rosa, Action.DEVICE_UPDATE) is Verdict.NO
    (given,) = (await house.anna.get(f"{house.home}/shares")).json()["items"]
    assert (given["receiver_name"], given["state"]) == ("rosa", "accepted")
    assert (await house.anna.get(house.shares)).json()["items"] == [given]


async def test_view_lets_look_only(house: Household) -> None:
    path = await house.given(level="view")
    assert await house.may(house.rosa, Action.DEVICE_READ) is Verdict.YES
    assert await house.may(house.rosa, Action.DEVICE_CONTROL) is Verdict.NO
    assert (await house.anna.patch(path, json={"level": "control"})).json()["level"] == "control"
    assert await house.may(house.rosa, Action.DEVICE_CONTROL) is Verdict.YES


async def test_a_code_gives_it_to_whoever_has_it(house: Household) -> None:
    made = await house.share(remark="the neighbour")
    assert made["link"].startswith("doorstep:share?hub=")
    assert made["qr"].startswith("<svg")
    code = {"code": made["code"].lower()}
    assert (await house.rosa.post("/api/shares/look", json=code)).json()["thing_name"] == "Lamp"
    assert (await house.rosa.post("/api/shares/accept", json=code)).status_code == 200
    assert (await house.rosa.post("/api/shares/accept", json=code)).status_code == 200
    late = await house.api.person("late")
    assert (await late.post("/api/shares/accept", json=code)).json()["code"] == "share_ended"
    assert await house.may(house.rosa, Action.DEVICE_CONTROL) is Verdict.YES
    assert await house.may(late, Action.DEVICE_READ) is Verdict.HIDDEN
    stored = await house.api.store.read(lambda r: r.all("SELECT * FROM shares") + r.all("SELECT data FROM events"))
    assert made["code"] not in str(stored)


async def test_of_two_with_the_code_one_has_it(house: Household) -> None:
    code = {"code": (await house.share())["code"]}
    other = await house.api.person("other")
    answers = await asyncio.gather(*(by.post("/api/shares/accept", json=code) for by in (house.rosa, other)))
    assert sorted(a.status_code for a in answers) == [200, 410]


async def test_an_offer_is_refused_or_taken_back_or_runs_out(house: Household) -> None:
    refused = (await house.share(login="rosa"))["share"]["id"]
    assert (await house.rosa.post(f"/api/me/shares/{refused}/refuse")).status_code == 204
    taken_back = (await house.share(login="rosa"))["share"]["id"]
    assert (await house.anna.delete(f"{house.home}/shares/{taken_back}")).status_code == 204
    late = (await house.share(login="rosa"))["share"]["id"]
    house.api.clock.set(house.api.clock.now().ms + 3 * DAY_MS)
    for share_id in (refused, taken_back, late):
        assert (await house.rosa.post(f"/api/me/shares/{share_id}/accept")).status_code == 410
    assert (await house.rosa.get("/api/me/shares")).json()["items"] == []
    states = [s["state"] for s in (await house.anna.get(f"{house.home}/shares")).json()["items"]]
    assert states == ["refused", "ended", "expired"]


async def test_either_side_ends_it(house: Household) -> None:
    path = await house.given()
    assert (await house.anna.delete(path)).status_code == 204
    assert await house.may(house.rosa, Action.DEVICE_READ) is Verdict.HIDDEN
    assert (await house.anna.delete(path)).status_code == 410
    path = await house.given()
    share_id = path.rpartition("/")[2]
    assert (await house.rosa.delete(f"/api/me/shares/{share_id}")).status_code == 204
    assert await house.may(house.rosa, Action.DEVICE_READ) is Verdict.HIDDEN
    assert (await house.rosa.post(f"/api/me/shares/{share_id}/accept")).status_code == 410
    assert len(house.api.services.shares.accepted) == 0


async def test_who_may_share(house: Household) -> None:
    admin, member, guest = [await house.api.person(role) for role in ("admin", "member", "guest")]
    for role, who in (("admin", admin), ("member", member), ("guest", guest)):
        await join(house.api, house.home, who, role)
    tries = {who: await who.post(house.shares, json={}) for who in (admin, member, guest, house.rosa)}
    assert [answer.status_code for answer in tries.values()] == [201, 403, 403, 404]
    path = await house.given()
    # Who has it may see it, and not pass it on.
    assert (await house.rosa.post(house.shares, json={})).status_code == 403
    for who, status in ((admin, 200), (member, 403), (guest, 403), (house.rosa, 404)):
        assert (await who.get(path)).status_code == status
        assert (await who.get(f"{house.home}/shares")).status_code == status
        assert (await who.patch(path, json={"remark": "x"})).status_code == status


async def test_members_are_given_nothing_they_have(house: Household) -> None:
    ben = await house.api.person("ben")
    code = {"code": (await house.share())["code"]}
    await join(house.api, house.home, ben, "guest")
    refused = await house.anna.post(house.shares, json={"login": "ben"})
    assert refused.json()["code"] == "already_member"
    assert (await ben.post("/api/shares/accept", json=code)).json()["code"] == "already_member"


async def test_nobody_learns_who_has_a_login(house: Household) -> None:
    known, unknown = [(await house.share(login=login))["share"] for login in ("rosa", "zoe")]
    varying = {"id": "", "login": "", "created_at": "", "expires_at": ""}
    assert known | varying == unknown | varying
    again = [await house.anna.post(house.shares, json={"login": x}) for x in ("ROSA", "Zoe")]
    assert [a.json()["code"] for a in again] == ["already_shared", "already_shared"]


async def test_it_ends_at_its_time(house: Household) -> None:
    until = house.api.clock.now().ms + HOUR_MS
    await house.given(until=to_time(until).isoformat())
    assert await house.may(house.rosa, Action.DEVICE_CONTROL) is Verdict.YES
    rosa = Actor(account_of(house.rosa))
    assert house.api.services.shares.earliest_end(rosa, house.api.clock.now()) == until
    house.api.clock.set(until)
    assert await house.may(house.rosa, Action.DEVICE_CONTROL) is Verdict.HIDDEN
    assert (await house.rosa.get("/api/me/shares")).json()["items"] == []
    past = to_time(until - 1).isoformat()
    assert (await house.anna.post(house.shares, json={"until": past})).status_code == 400


def _berlin(*when: int) -> int:
    return round(datetime(*when, tzinfo=BERLIN).timestamp() * 1000)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("local", "verdict"),
    [
        # The day before the clocks go forward (28 March 2027), in the gap's night, and after it.
        ((2027, 3, 27, 7, 59), Verdict.NO),
        ((2027, 3, 27, 8, 0), Verdict.YES),
        ((2027, 3, 28, 7, 59), Verdict.NO),
        ((2027, 3, 28, 8, 0), Verdict.YES),
        ((2027, 3, 28, 16, 59), Verdict.YES),
        ((2027, 3, 28, 17, 0), Verdict.NO),
        # And back again (31 October 2027).
        ((2027, 10, 31, 7, 59), Verdict.NO),
        ((2027, 10, 31, 8, 0), Verdict.YES),
        ((2027, 10, 31, 17, 0), Verdict.NO),
    ],
)
async def test_hours_follow_the_homes_wall_clock(house: Household, local: tuple[int, ...], verdict: Verdict) -> None:
    await house.given(hours=[{"days": EVERY_DAY, "start": 8 * 60, "end": 17 * 60}])
    house.api.clock.set(_berlin(*local))
    assert await house.may(house.rosa, Action.DEVICE_CONTROL) is verdict
    path, inside = f"/api/devices/{house.lamp}", verdict is Verdict.YES
    assert (await house.rosa.get(path)).status_code == (200 if inside else 403)
    assert (await house.rosa.post(f"{path}/commands", json=ON)).status_code == (202 if inside else 403)


async def test_a_night_is_as_long_as_the_clocks_make_it(house: Household) -> None:
    # From 1:30 to 3:30: one hour of 28 March 2027, three of 31 October.
    await house.given(hours=[{"days": EVERY_DAY, "start": 90, "end": 210}])
    for day, hours in (((2027, 3, 28), 1), ((2027, 6, 1), 2), ((2027, 10, 31), 3)):
        begins = _berlin(*day, 1, 30)
        for at, status in ((-1, 403), (0, 200), (hours * HOUR_MS - 1, 200), (hours * HOUR_MS, 403)):
            # The clock runs on from there: what is asked just before a change is asked a minute before.
            house.api.clock.set(begins + at - (60_000 if at % HOUR_MS else 0))
            assert (await house.rosa.get(f"/api/devices/{house.lamp}")).status_code == status, (day, at)


async def test_hours_move_with_the_home(house: Household) -> None:
    await house.given(hours=[{"days": EVERY_DAY, "start": 8 * 60, "end": 17 * 60}])
    house.api.clock.set(_berlin(2027, 1, 5, 16, 30))
    assert await house.may(house.rosa, Action.DEVICE_CONTROL) is Verdict.YES
    await house.anna.patch(house.home, json={"time_zone": "Asia/Tokyo"})
    assert await house.may(house.rosa, Action.DEVICE_CONTROL) is Verdict.NO


async def test_without_a_trusted_clock_what_ends_is_refused(house: Household) -> None:
    await house.given(until=to_time(house.api.clock.now().ms + HOUR_MS).isoformat())
    code = {"code": (await house.share())["code"]}
    house.api.clock.trusted = False
    assert await house.may(house.rosa, Action.DEVICE_READ) is Verdict.UNTRUSTED_CLOCK
    assert (await house.rosa.post("/api/shares/accept", json=code)).json()["code"] == "clock_untrusted"
    assert (await house.anna.post(house.shares, json={})).json()["code"] == "clock_untrusted"


async def test_it_ends_with_the_things_stay_and_does_not_come_back_with_it(house: Household) -> None:
    await house.given()
    seen = await house.rosa.get(f"/api/devices/{house.lamp}")
    assert (seen.status_code, seen.json()["home_id"]) == (200, None)
    assert (await house.anna.delete(f"/api/devices/{house.lamp}")).status_code == 204
    assert (await house.rosa.get(f"/api/devices/{house.lamp}")).status_code == 404
    house.lamp = await bind(house.api, house.home.rpartition("/")[2], name="Lamp")
    assert await house.may(house.rosa, Action.DEVICE_READ) is Verdict.HIDDEN
    assert (await house.rosa.get("/api/me/shares")).json()["items"] == []


async def test_it_ends_with_the_home(house: Household) -> None:
    await house.given()
    done = await house.anna.post(f"{house.home}/dissolve", json={"name": "Lindenweg", "devices": "remove"})
    assert done.status_code == 204
    assert await house.may(house.rosa, Action.DEVICE_READ) is Verdict.HIDDEN
    assert len(house.api.services.shares.accepted) == 0


async def test_with_the_giver_goes_what_they_gave(house: Household) -> None:
    admin = await house.api.person("admin")
    path = await join(house.api, house.home, admin, "admin")
    taken, open_offer = [{"code": (await admin.post(house.shares, json={})).json()["code"]} for _ in range(2)]
    assert (await house.rosa.post("/api/shares/accept", json=taken)).status_code == 200
    await house.anna.patch(path, json={"role": "member"})
    assert (await house.rosa.post("/api/shares/accept", json=open_offer)).status_code == 410
    assert await house.may(house.rosa, Action.DEVICE_READ) is Verdict.YES
    await house.anna.delete(path)
    assert await house.may(house.rosa, Action.DEVICE_READ) is Verdict.HIDDEN


async def test_who_leaves_the_home_keeps_no_share_from_before(house: Household) -> None:
    await house.given()
    path = await join(house.api, house.home, house.rosa, "member")
    assert (await house.anna.delete(path)).status_code == 204
    assert await house.may(house.rosa, Action.DEVICE_READ) is Verdict.HIDDEN


async def test_taking_away_is_counted_and_told(house: Household) -> None:
    def epoch() -> int:
        home = house.api.services.standings.homes.get(house.home.rpartition("/")[2])
        assert home is not None
        return home.epoch

    path = await house.given()
    before = epoch()
    await house.anna.patch(path, json={"remark": "x"})
    assert epoch() == before
    await house.anna.patch(path, json={"level": "view"})
    assert epoch() == before + 1
    await house.anna.delete(path)
    assert epoch() == before + 2
    told = await house.api.store.read(
        lambda r: r.all(
            "SELECT type FROM events WHERE kind='share' AND account_id=? ORDER BY seq", (account_of(house.rosa),)
        )
    )
    assert [row[0] for row in told] == [
        "share.offered",
        "share.accepted",
        "share.changed",
        "share.changed",
        "share.ended",
    ]


async def test_of_two_changes_to_what_both_saw_one_wins(house: Household) -> None:
    path = await house.given()
    seen = {"If-Match": (await house.anna.get(path)).headers["etag"]}
    answers = await asyncio.gather(*(house.anna.patch(path, json={"level": "view"}, headers=seen) for _ in range(2)))
    assert sorted(a.status_code for a in answers) == [200, 412]


async def test_codes_cannot_be_guessed(house: Household) -> None:
    right = (await house.share())["code"]
    answers = [await house.rosa.post("/api/shares/accept", json={"code": f"{n:012d}"}) for n in range(11)]
    assert [a.status_code for a in answers] == [404] * 10 + [429]
    assert (await house.rosa.post("/api/shares/accept", json={"code": right})).status_code == 429


async def test_a_share_is_nowhere_but_in_its_home(house: Household) -> None:
    path = await house.given()
    other = await new_home(house.anna)
    share_id = path.rpartition("/")[2]
    swapped, missing = await house.anna.get(f"{other}/shares/{share_id}"), await house.anna.get(f"{other}/shares/none")
    assert swapped.status_code == missing.status_code == 404
    assert {**swapped.json(), "request_id": ""} == {**missing.json(), "request_id": ""}
    stranger = await house.api.person("stranger")
    assert (await stranger.delete(f"/api/me/shares/{share_id}")).status_code == 404


async def test_ended_shares_make_room(house: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KEEP, "shares", Keep("two", most=2, per="home_id"))
    path = await house.given()
    await house.share()
    assert (await house.anna.post(house.shares, json={})).status_code == 429
    await house.anna.delete(path)
    assert (await house.anna.post(house.shares, json={})).status_code == 201


async def test_an_account_that_ends_has_nothing_any_more(house: Household) -> None:
    await house.given()
    accounts = house.api.services.accounts
    await house.api.store.write(
        lambda tx: accounts.remove_in(tx, BY_SYSTEM, accounts.get_in(tx, account_of(house.rosa)))
    )
    assert len(house.api.services.shares.accepted) == 0
    states = [s["state"] for s in (await house.anna.get(f"{house.home}/shares")).json()["items"]]
    assert "accepted" not in states


async def _until_it_ends(stream: Listening) -> None:
    while not stream.ended:
        await stream.next()


async def test_revoking_closes_the_receivers_stream(house: Household) -> None:
    path = await house.given()
    async with Listening(house.api.app, account_of(house.rosa)) as stream:
        await house.anna.delete(path)
        await _until_it_ends(stream)


async def test_the_receiver_hears_of_the_device_and_of_nothing_else_in_the_home(house: Household) -> None:
    await house.given()
    async with Listening(house.api.app, account_of(house.rosa)) as stream:
        assert (await stream.next()).event == "ready"
        await house.anna.post(f"{house.home}/rooms", json={"name": "Hall"})
        await house.anna.patch(f"/api/devices/{house.lamp}", json={"name": "Reading lamp"})
        heard = await stream.next()
        assert heard.event == "device.updated"


async def test_the_end_of_its_time_and_of_its_hours_close_the_receivers_stream(house: Household) -> None:
    now = house.api.clock.now().ms
    path = await house.given(until=to_time(now + HOUR_MS).isoformat())
    async with Listening(house.api.app, account_of(house.rosa)) as stream:
        house.api.forward(HOUR_MS)
        await _until_it_ends(stream)
    assert (await house.anna.get(path)).json()["state"] == "expired"
    house.api.clock.set(_berlin(2027, 1, 5, 16, 59))
    await house.given(hours=[{"days": EVERY_DAY, "start": 8 * 60, "end": 17 * 60}])
    async with Listening(house.api.app, account_of(house.rosa)) as stream:
        house.api.forward(60_000)
        await _until_it_ends(stream)


async def test_a_group_is_shared_with_the_devices_in_it(house: Household) -> None:
    made = await house.anna.post(f"{house.home}/groups", json={"name": "Reading", "devices": [house.lamp]})
    group = f"/api/groups/{made.json()['id']}"
    offered = await house.anna.post(f"{group}/shares", json={"login": "rosa"})
    assert offered.json()["share"]["thing_name"] == "Reading"
    share = f"/api/me/shares/{offered.json()['share']['id']}"
    assert (await house.rosa.get(group)).status_code == 404
    assert (await house.rosa.post(f"{share}/accept")).status_code == 200
    lamp = f"/api/devices/{house.lamp}"
    assert (await house.rosa.get(group)).status_code == (await house.rosa.get(lamp)).status_code == 200
    assert (await house.rosa.post(f"{lamp}/commands", json=ON)).status_code == 202
    await house.anna.patch(group, json={"devices": []})
    assert (await house.rosa.get(group)).status_code == 200
    assert (await house.rosa.post(f"{lamp}/commands", json=ON)).status_code == 404
    assert (await house.anna.delete(group)).status_code == 204
    assert (await house.rosa.get("/api/me/shares")).json()["items"] == []
    assert (await house.rosa.delete(share)).status_code == 410


async def test_the_receiver_acts_until_it_is_taken_away(house: Household) -> None:
    path, lamp = await house.given(), f"/api/devices/{house.lamp}"
    assert (await house.rosa.post(f"{lamp}/commands", json=ON)).status_code == 202
    assert (await house.rosa.patch(lamp, json={"name": "Mine"})).status_code == 403
    assert (await house.rosa.delete(lamp)).status_code == 403
    await house.anna.delete(path)
    assert (await house.rosa.post(f"{lamp}/commands", json=ON)).status_code == 404
    assert (await house.rosa.get(lamp)).status_code == 404


async def test_who_it_is_shared_with_and_guests_look_back_at_their_own_commands_alone(house: Household) -> None:
    path = f"/api/devices/{house.lamp}/commands"
    gast = await house.api.person("gast")
    await join(house.api, house.home, gast, "guest")
    await house.anna.post(path, json=ON)
    await house.given()
    mine = {who: (await who.post(path, json=ON)).json()["id"] for who in (house.rosa, gast)}
    for who, command_id in mine.items():
        assert [command["id"] for command in (await who.get(path)).json()["items"]] == [command_id]
    assert len((await house.anna.get(path)).json()["items"]) == 3
