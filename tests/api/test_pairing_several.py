"""Several devices in one session over the API, and what a phone is told to hand to a device itself."""

import asyncio
from typing import Any

import httpx2

from app.store.tx import Reader
from pairing.methods.method import AttemptContext, MethodFailedError, SearchContext
from pairing.session.states import Candidate
from tests.api.fake_methods import Joining
from tests.api.harness import Api
from tests.api.households import join, new_home

NETWORK = {"ssid": "Lindenweg", "wifi_password": "correct horse battery"}


class Quiet(Joining):
    """Hears nothing, and waits."""

    async def search(self, context: SearchContext) -> None:
        await context.ready()
        await asyncio.Event().wait()


class Three(Joining):
    """Hears three devices, of which the last cannot prove itself."""

    async def search(self, context: SearchContext) -> None:
        await context.ready()
        for number in range(1, 4):
            await context.heard(Candidate(id=f"d-{number}", method=self.name, name=f"Lamp {number}"))
        await asyncio.Event().wait()

    async def attempt(self, context: AttemptContext) -> None:
        if context.candidate.id == "d-3":
            raise MethodFailedError("proof_failed")
        if not await context.confirm(f"{context.number:06d}"):
            raise MethodFailedError("refused_by_person")
        await super().attempt(context)


async def begun(client: httpx2.AsyncClient, home: str, **wanted: Any) -> str:
    started = await client.post(f"{home}/pairing", json=wanted)
    assert started.status_code == 201, started.text
    return f"{home}/pairing/{started.json()['id']}"


async def until(client: httpx2.AsyncClient, path: str, *states: str, attempts: int = 0) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            session: dict[str, Any] = (await client.get(path)).json()
            if session["state"] in states and len(session["attempts"]) >= attempts:
                return session
            await asyncio.sleep(0.01)


async def test_each_device_has_its_own_code_steps_and_result(api: Api) -> None:
    anna = await api.person("anna")
    await api.services.onboarding.open([Three("ap")])
    path = await begun(anna, await new_home(anna), want=5, **NETWORK)
    session = await until(anna, path, "confirming", attempts=3)
    while sum(one["state"] == "confirming" for one in session["attempts"]) < 2:
        session = await until(anna, path, "confirming")
    assert (session["want"], session["searching"]) == (5, ["ap"])
    assert [one["code"] for one in session["attempts"]] == ["000001", "000002", ""]
    unclear = await anna.post(f"{path}/confirm", json={"accepted": True})
    assert (unclear.status_code, unclear.json()["code"]) == (409, "not_now")
    said = [anna.post(f"{path}/confirm", json={"accepted": n == 1, "attempt": n}) for n in (2, 1)]
    assert [answer.status_code for answer in await asyncio.gather(*said)] == [200, 200]
    assert (await anna.post(f"{path}/finish")).status_code == 200
    ended = await until(anna, path, "joined", "failed", "cancelled")
    results = [(each["candidate_id"], each["name"], each["state"], each["cause"]) for each in ended["results"]]
    assert results == [
        ("d-1", "Lamp 1", "joined", None),
        ("d-2", "Lamp 2", "failed", "refused_by_person"),
        ("d-3", "Lamp 3", "failed", "proof_failed"),
    ]
    assert ended["device_ids"] == [ended["results"][0]["device_id"]]
    of_second = [step["key"] for step in ended["steps"] if step["attempt"] == 2]
    assert of_second == ["confirm", "refused", "attempt_failed"]
    summary = ended["steps"][-1]["detail"]
    assert (summary["joined"], summary["failed"]) == ("1", "2")
    assert summary["causes"] == "refused_by_person proof_failed"
    again = await anna.post(f"{path}/finish")
    assert (again.status_code, again.json()["state"]) == (200, "joined")


async def test_that_is_all_with_nobody_there_ends_as_cancelled(api: Api) -> None:
    anna = await api.person("anna")
    await api.services.onboarding.open([Quiet("ap")])
    path = await begun(anna, await new_home(anna), want=2, **NETWORK)
    await until(anna, path, "searching")
    finished = (await anna.post(f"{path}/finish")).json()
    assert (finished["state"], finished["failure"]["cause"]) == ("cancelled", "cancelled")


async def test_the_phone_is_told_what_to_hand_over_and_each_time_is_audited(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    await api.services.onboarding.open([Quiet("ap")])
    path = await begun(anna, home, bssid="02:00:5e:10:00:01", **NETWORK)
    await until(anna, path, "searching")
    told = await anna.get(f"{path}/handover")
    assert told.headers["cache-control"] == "no-store"
    handed = told.json()
    assert (handed["ssid"], handed["password"]) == (NETWORK["ssid"], NETWORK["wifi_password"])
    assert handed["bssid"] == "02:00:5e:10:00:01"
    assert (len(handed["token"]), handed["token"].isalnum()) == (14, True)
    assert (await anna.get(f"{path}/handover")).json() == handed
    audited = [row for row in await api.store.read(_audit) if row[0] == "pairing.handed_over"]
    assert len(audited) == 2
    assert not any(secret in str(audited) for secret in (handed["password"], handed["token"]))
    shown = (await anna.get(path)).text
    assert handed["token"] not in shown
    assert handed["password"] not in shown


def _audit(reader: Reader) -> list[Any]:
    return [tuple(row) for row in reader.all("SELECT type, * FROM audit")]


async def test_it_is_for_nobody_but_who_opened_the_session(api: Api) -> None:
    anna, ben, carol, eve = [await api.person(name) for name in ("anna", "ben", "carol", "eve")]
    home = await new_home(anna)
    await join(api, home, ben, "admin")
    await join(api, home, carol, "member")
    await api.services.onboarding.open([Quiet("ap")])
    path = await begun(anna, home, **NETWORK)
    await until(anna, path, "searching")
    told = [(await client.get(f"{path}/handover")).status_code for client in (anna, ben, carol, eve, api.client())]
    assert told == [200, 403, 403, 404, 401]


async def test_there_is_nothing_to_hand_over_in_other_methods_and_after_the_end(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    await api.services.onboarding.open([Quiet("ap"), Quiet("ez")])
    by_air = await begun(anna, home, method="ez", **NETWORK)
    without = await begun(anna, home, method="ap")
    ended = await begun(anna, home, method="ap", **NETWORK)
    await anna.post(f"{ended}/cancel")
    for path in (by_air, without, ended):
        refused = await anna.get(f"{path}/handover")
        assert (refused.status_code, refused.json()["code"]) == (409, "not_now"), path
