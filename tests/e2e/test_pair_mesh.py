"""`doorstep pair --method mesh` against `doorstep device --method mesh`, from the inbox to a lamp that is on."""

import asyncio

from app.client import Client
from app.commands.child import Child
from tests.e2e.claimed import pair
from tests.e2e.living import WAIT
from tests.e2e.test_pair_bluetooth import Around, around

__all__ = ["around"]
SECRET = "00112233445566778899aabbccddeeff"


def node(around: Around, *words: str) -> Child:
    return around.device("--product", "mesh_lamp", *words, method="mesh")


async def test_one_that_blinks_is_in_the_inbox_and_comes_in(around: Around) -> None:
    async with node(around) as lamp:
        ready = await lamp.until(event="ready")
        assert (await around.inbox("mesh"))["id"] == ready["id"]
        code, lines = await pair(around.hub, "--method", "mesh", "--device", ready["id"], "--yes")
        assert (code, lines[-1]["key"]) == (0, "joined"), lines[-1:]
        await lamp.until(event="attention")
        await lamp.until(event="provisioned")
        shown = await around.switched_on()
        assert (shown["link"], shown["trust"]) == ("mesh", "first-use")
        await lamp.until(event="switched", on=True)


async def test_the_secret_on_its_label(around: Around) -> None:
    """Four devices at one hub: the one whose secret is given comes in."""
    cases = (("", "mesh_code_needed"), ("12", "mesh_code_unfit"), (SECRET[::-1], "wrong_pop"), (SECRET, ""))
    for given, cause in cases:
        async with node(around, "--oob", SECRET) as lamp:
            ready = await lamp.until(event="ready")
            options = ("--oob", given) if given else ()
            code, lines = await pair(around.hub, "--method", "mesh", "--device", ready["id"], "--yes", *options)
            if cause:
                assert (code != 0, lines[-1]["error"]["code"]) == (True, cause), lines[-1]
            else:
                assert code == 0, lines[-1:]
                assert (await around.switched_on())["trust"] == "pin"


async def test_the_code_it_shows_is_typed(around: Around) -> None:
    async with node(around, "--oob", "shown") as lamp, around.hub.client(around.hub.ready["token"]) as api:
        ready = await lamp.until(event="ready")
        wanted = {"method": "mesh", "device_id": ready["id"]}
        session = await api.post(f"/api/homes/{around.home}/pairing", wanted)
        shown = await lamp.until(event="code")
        path = f"/api/homes/{around.home}/pairing/{session['id']}"
        await until(api, path, "asking")
        await api.post(f"{path}/pin", {"pin": shown["code"]})
        await until(api, path, "joined")
        assert (await around.switched_on())["trust"] == "pin"


async def until(api: Client, path: str, state: str) -> None:
    """The session is in this state."""
    async with asyncio.timeout(WAIT):
        while True:
            session = await api.get(path)
            if session["state"] == state:
                return
            assert session["state"] not in ("failed", "cancelled", "expired"), session
            await asyncio.sleep(0.05)
