"""A pairing session's secrets: they last no longer than it, and are used once."""

import asyncio

from app.store.tx import Reader
from pairing.methods.method import AttemptContext, Follows, Input, MethodFailedError, SearchContext
from pairing.session.states import Candidate
from tests.api.harness import Api
from tests.api.things import home_of


class Endless:
    """A method that finds nothing, and waits."""

    name = "endless"
    inputs: tuple[Input, ...] = (Input(name="pin", secret=True),)
    follows: Follows | None = None

    async def search(self, context: SearchContext) -> None:
        await context.ready()
        await asyncio.Event().wait()

    async def attempt(self, context: AttemptContext) -> None:
        raise NotImplementedError


class Doubtful(Endless):
    """A method that hears one device, which takes no PIN."""

    name = "doubtful"
    inputs = ()

    def __init__(self) -> None:
        self.tried: list[str] = []

    async def search(self, context: SearchContext) -> None:
        await context.ready()
        await context.heard(Candidate(id="d-1", method=self.name, auth="pin"))
        await asyncio.Event().wait()

    async def attempt(self, context: AttemptContext) -> None:
        self.tried.append(await context.pin())
        raise MethodFailedError("wrong_pin")


def kept(reader: Reader) -> list[str]:
    return [row[0] for row in reader.all("SELECT row FROM secrets WHERE row LIKE 'pairing_session/%'")]


async def test_a_pin_goes_with_the_home_whose_device_it_was_to_prove(api: Api) -> None:
    anna = await api.person("anna")
    await api.services.onboarding.open([Endless()])
    home_id = await home_of(anna)
    begun = await anna.post(f"/api/homes/{home_id}/pairing", json={"method": "endless", "pin": "12345678"})
    assert begun.status_code == 201
    assert await api.store.read(kept) == [f"pairing_session/{begun.json()['id']}"]
    gone = await anna.post(f"/api/homes/{home_id}/dissolve", json={"name": "Lindenweg"})
    assert gone.is_success, gone.text
    assert await api.store.read(kept) == []


async def test_a_pin_whose_answer_was_lost_costs_one_try(api: Api) -> None:
    anna, method = await api.person("anna"), Doubtful()
    await api.services.onboarding.open([method])
    home_id = await home_of(anna)
    asked = {"method": "doubtful", "device_id": "d-1"}
    begun = await anna.post(f"/api/homes/{home_id}/pairing", json=asked)
    assert begun.status_code == 201
    path = f"/api/homes/{home_id}/pairing/{begun.json()['id']}"

    async def asking(attempts: int) -> None:
        async with asyncio.timeout(20):
            while True:
                seen = (await anna.get(path)).json()
                if seen["state"] == "asking" and len(seen["attempts"]) == attempts:
                    return

    await asking(1)
    once = {"Idempotency-Key": "my PIN"}
    said = await asyncio.gather(*(anna.post(f"{path}/pin", json={"pin": "1111"}, headers=once) for _ in range(3)))
    await asking(2)
    said.append(await anna.post(f"{path}/pin", json={"pin": "1111"}, headers=once))
    assert [(one.status_code, one.json()) for one in said] == [(200, said[0].json())] * 4
    assert method.tried == ["1111"]
    await anna.post(f"{path}/cancel")
