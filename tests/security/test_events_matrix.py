"""Every kind of event, listened for by everybody: who hears it is what rights.py says."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from app.events import stream
from app.policy import SYSTEM, Action
from app.store.tx import Change, Event, Tx
from tests.api.harness import Api
from tests.api.listening import Heard, Listening
from tests.security.rehearsal import rehearsing
from tests.security.rights import NO, RIGHTS, YES
from tests.security.samples import SAMPLES
from tests.security.test_matrix import TRIED, send
from tests.security.world import ACTORS, CANARY, INVALID, LOOSE, VALID, World, build

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The right it takes to hear what is told to whoever may ..., by what it is about.
HEARS: dict[tuple[Action, str], str] = {
    (Action.HOME_READ, "home"): "see the home",
    (Action.ROOM_READ, "home"): "see the home",
    (Action.MEMBER_READ, "home"): "see members",
    (Action.MEMBER_INVITE, "home"): "manage the home",
    (Action.AUDIT_READ, "home"): "read as an admin",
    (Action.SHARE_READ, "home"): "read as an admin",
    (Action.SHARE_READ, "device"): "read the device as an admin",
    (Action.PAIR, "home"): "pair",
    (Action.MESH_MANAGE, "home"): "own the home",
    (Action.UPSTREAM_MANAGE, "home"): "own the home",
    (Action.HOME_KEYS, "home"): "own the home",
    (Action.DEVICE_READ, "device"): "see the device",
    (Action.DEVICE_UPDATE, "device"): "manage the device",
    (Action.DEVICE_JOURNAL, "device"): "see the device's journal",
    (Action.DEVICE_USER_READ, "device"): "see the device's people",
    (Action.ROOM_READ, "device"): "see where the device is",
    (Action.DEVICE_CONTROL, "device"): "control the device",
    (Action.GROUP_READ, "group"): "see the group",
    (Action.SHARE_READ, "group"): "read the group as an admin",
    (Action.HUB_MANAGE, "hub"): "run the hub",
    (Action.SELF, "oneself"): "hear of the owner",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with Api(tmp_path_factory.mktemp("events"), LOOSE) as api:
        yield await build(api)


@pytest.fixture
def told(world: World) -> Iterator[list[Event]]:
    events: list[Event] = []
    with rehearsing(world.api.store, events):
        yield events


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who hears nothing is told so by the next heartbeat."""
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)


def about(event: Event | Change) -> str:
    """What an event is about, as far as rights go."""
    if event.sees is Action.SELF:
        return "oneself"
    if event.home_id is None:
        return "hub"
    return "device" if event.device_id else "group" if event.kind == "group" else "home"


def _change(world: World, sees: Action, subject: str, device_id: str | None = None) -> Change:
    here, data = world.here, {"mark": f"{sees}/{subject}", "home_id": world.here.home_id, "room_id": "r"}
    if subject == "device":
        device_id = device_id or here.device_id
        return Change("device.tried", "device", device_id, here.home_id, sees, data, device_id=device_id)
    if subject == "oneself":
        account_id = world.account("owner")
        return Change("account.tried", "account", account_id, None, sees, data, account_id=account_id)
    home_id = None if subject == "hub" else here.home_id
    entity_id = here.group_id if subject == "group" else here.home_id
    return Change(f"{subject}.tried", subject, entity_id, home_id, sees, data)


async def hear(world: World, changes: list[Change], since: str | None = None) -> dict[str, list[Heard]]:
    """What each of VALID hears of `changes`, live or (from `since` on) replayed; each stream then ends by itself."""
    bus, heard = world.api.services.bus, {}

    def tell(tx: Tx) -> None:
        for change in changes:
            tx.record(SYSTEM, change)

    if since is not None:
        await world.api.store.write(tell)
    async with AsyncExitStack() as stack:
        open_ = {a: await stack.enter_async_context(Listening(world.api.app, world.tokens[a], since)) for a in VALID}
        for listening in open_.values():
            assert (await listening.next()).event == "ready"
        if since is None:
            await world.api.store.write(tell)
        for actor, listening in open_.items():
            await listening.place(str(bus.here))
            # Commands expire meanwhile, and tell so.
            heard[actor] = [each for each in listening.heard() if "mark" in each.data["data"]]
    return heard


def wrong(world: World, heard: dict[str, list[Heard]]) -> list[str]:
    """Where what was heard differs from the table."""
    found = []
    for (sees, subject), name in HEARS.items():
        right = RIGHTS[name]
        for actor in VALID:
            mine = [h for h in heard[actor] if h.data["data"]["mark"] == f"{sees}/{subject}"]
            if len(mine) != (right.verdict(actor) == YES):
                found.append(f"{actor} heard {len(mine)} of {sees}/{subject}")
    return found


async def test_who_hears_what_live(world: World) -> None:
    heard = await hear(world, [_change(world, sees, subject) for sees, subject in HEARS])
    assert wrong(world, heard) == []


async def test_who_hears_what_when_it_is_replayed(world: World) -> None:
    since = str(world.api.services.bus.here)
    heard = await hear(world, [_change(world, sees, subject) for sees, subject in HEARS], since)
    assert wrong(world, heard) == []


async def test_a_device_that_is_not_theirs_is_not_heard_of(world: World) -> None:
    heard = await hear(world, [_change(world, Action.DEVICE_READ, "device", world.other_device)])
    hear_of_it = {actor for actor, events in heard.items() if events}
    assert hear_of_it == {"owner", "admin", "member", "unnamed", "key_read", "key_control", "key_home"}


async def test_a_receiver_is_not_told_where_it_is(world: World) -> None:
    heard = await hear(world, [_change(world, Action.DEVICE_READ, "device")])
    for actor in ("viewer", "controller", "group_controller"):
        (event,) = heard[actor]
        assert event.data["home_id"] is None
        assert event.data["data"] == {"mark": "device.read/device", "home_id": None, "room_id": None}
    (event,) = heard["guest"]
    assert event.data["home_id"] == world.here.home_id


async def test_nobody_listens_without_a_valid_credential(world: World) -> None:
    for actor in INVALID:
        async with Listening(world.api.app, world.tokens[actor]) as listening:
            assert listening.status == 401
    assert set(ACTORS) == {*INVALID, *VALID}


@pytest.mark.parametrize("name", TRIED)
async def test_whatever_an_operation_tells_is_in_the_table(world: World, told: list[Event], name: str) -> None:
    right = RIGHTS[SAMPLES[name].right]
    for actor in VALID:
        if right.verdict(actor) == YES:
            await send(world, name, actor)
    assert {(event.sees, about(event)) for event in told} - set(HEARS) == set()
    assert [e.type for e in told if CANARY.encode() in e.data and e.sees is Action.SELF and _is_gone(world, e)] == []


def _is_gone(world: World, event: Event) -> bool:
    """Whether it is told to somebody who may not see the home, nor was invited to it."""
    no_more = [a for a in VALID if RIGHTS["see the home"].verdict(a) not in (YES, NO) and not a.startswith("key_")]
    strangers = {world.account(actor) for actor in no_more} - {world.account("ex_member"), world.account("outsider")}
    return event.account_id in strangers and event.kind == "home"
