"""A pairing session's secrets last no longer than it."""

import asyncio

from app.store.tx import Reader
from pairing.methods.method import AttemptContext, Input, SearchContext
from tests.api.harness import Api
from tests.api.things import home_of


class Endless:
    """A method that finds nothing, and waits."""

    name = "endless"
    inputs = (Input(name="pin", secret=True),)

    async def search(self, context: SearchContext) -> None:
        await context.ready()
        await asyncio.Event().wait()

    async def attempt(self, context: AttemptContext) -> None:
        raise NotImplementedError


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
