"""A device has gone to another home of its owner: nobody else of the old one reaches it, or hears of it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from app.caller import Caller
from app.control.model import NewCommand
from app.events import stream
from app.policy import Action
from tests.api.harness import Api
from tests.api.listening import Heard, Listening
from tests.security.rehearsal import rehearsing
from tests.security.test_matrix import ROUTES, TRIED, send
from tests.security.world import LOOSE, VALID, World, build

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The owner has the other home as well, and so have those of their keys that are not bound to the first.
STILL = {"owner", "key_read", "key_control", "key_elsewhere"}
OF_DEVICES = [name for name in TRIED if "device_id" in ROUTES[name].params and ROUTES[name].action is not Action.PUBLIC]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[World, str, dict[str, list[Heard]]]]:
    """The world after the transfer, the place before it, and what everybody heard meanwhile and afterwards."""
    folder: Path = tmp_path_factory.mktemp("transferred")
    async with Api(folder, LOOSE) as api:
        world = await build(api)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(stream, "HEARTBEAT_S", 0.05)
            yield world, str(api.services.bus.here), await _overheard(world)


async def _overheard(world: World) -> dict[str, list[Heard]]:
    heard: dict[str, list[Heard]] = {}
    async with AsyncExitStack() as stack:
        open_ = {a: await stack.enter_async_context(Listening(world.api.app, world.tokens[a])) for a in VALID}
        for listening in open_.values():
            assert (await listening.next()).event == "ready"
        await _transfer_and_use(world)
        here = str(world.api.services.bus.here)
        for actor, listening in open_.items():
            # Streams end of those whose rights have changed.
            with suppress(EOFError):
                await listening.place(here)
            heard[actor] = listening.heard()
    return heard


async def _transfer_and_use(world: World) -> None:
    device_id, services = world.here.device_id, world.api.services
    elsewhere = world.api.actor(world.tokens["key_elsewhere"] or "").home_id
    path = f"/api/devices/{device_id}/transfer"
    answer = await world.client("owner").post(path, json={"home_id": elsewhere})
    assert answer.status_code == 200, answer.text
    services.devices.online(device_id, "lan")
    await services.devices.reported(device_id, "light", {"on": True})
    by = Caller(world.api.actor(world.tokens["owner"] or ""))
    await services.control.command(by, device_id, NewCommand("light", values={"on": False}))


@pytest.mark.parametrize("name", OF_DEVICES)
async def test_no_route_leads_to_it(gone: tuple[World, str, dict[str, list[Heard]]], name: str) -> None:
    world, _, _ = gone
    told = {}
    with rehearsing(world.api.store, []):
        for actor in VALID:
            if actor not in STILL:
                status = (await send(world, name, actor)).status_code
                if status != 404:
                    told[actor] = status
    assert told == {}


async def test_who_has_the_other_home_reaches_it(gone: tuple[World, str, dict[str, list[Heard]]]) -> None:
    world, _, _ = gone
    for actor in STILL:
        assert (await send(world, "getDevice", actor)).status_code == 200, actor


def _of_its_new_life(heard: list[Heard]) -> list[str]:
    kinds = ("device.added", "device.reported", "device.online", "command.created")
    return [each.event for each in heard if each.event in kinds]


async def test_open_streams_tell_nothing_of_its_new_life(gone: tuple[World, str, dict[str, list[Heard]]]) -> None:
    _, _, heard = gone
    assert {actor for actor in VALID if _of_its_new_life(heard[actor])} == STILL
    assert "device.removed" in [each.event for each in heard["member"]]


async def test_nor_do_streams_that_catch_up(gone: tuple[World, str, dict[str, list[Heard]]]) -> None:
    world, since, _ = gone
    here = str(world.api.services.bus.here)
    told = set()
    for actor in VALID:
        async with Listening(world.api.app, world.tokens[actor], since) as listening:
            assert (await listening.next()).event == "ready"
            await listening.place(here)
            if _of_its_new_life(listening.heard()):
                told.add(actor)
    assert told == STILL
