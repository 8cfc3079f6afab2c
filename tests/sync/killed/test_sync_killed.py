"""Two hubs and their cloud as commands, each in a network that comes and goes, killed -9 under edits at all three."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from app.services import Services
from app.store.prepare import open_store
from tests.lan.lan import require_namespaces
from tests.sync.copies import Copy, copy_in, the_same
from tests.sync.history import Outcome
from tests.sync.killed.nodes import Node, Three, three

SEEDED, FULL = 4, 100
BETWEEN_S = 1.0
# Homes that arrive while nodes are killed, and what is in each.
ARRIVING, ROOMS, DEVICES = 12, 60, 30


class Trouble(Struct):
    """What was done to them."""

    kills: Counter[str] = Counter()
    cuts: int = 0


async def make_trouble(all_: Three, kills: int, dice: random.Random) -> Trouble:
    """One after the other is killed, or two at once, and started again, while their networks come and go."""
    done, off = Trouble(Counter()), set[str]()
    while (left := kills - done.kills.total()) > 0:
        await asyncio.sleep(dice.uniform(0, BETWEEN_S))
        for hub in (all_.first, all_.second):
            if dice.random() < 0.5:
                await (hub.heal if hub.name in off else hub.cut)()
                done.cuts += hub.name not in off
                off ^= {hub.name}
        await kill_and_start(dice.sample(all_.nodes, min(left, dice.choice((1, 1, 2)))), done, dice)
    return done


async def kill_and_start(victims: list[Node], done: Trouble, dice: random.Random) -> None:
    """All at once."""
    for victim in victims:
        await victim.kill()
        done.kills[victim.name] += 1
    await asyncio.sleep(dice.uniform(0, BETWEEN_S / 3))
    await asyncio.gather(*(victim.start_again() for victim in victims))


async def heal(all_: Three) -> float:
    """All networks are back, and nobody edits: seconds from the first hub's being back to all being level."""
    loop = asyncio.get_running_loop()
    for node in all_.nodes:
        await node.heal()
    await asyncio.gather(*(node.rest() for node in all_.nodes))
    async with asyncio.timeout(120):
        while all([(await all_.view(hub))["state"] == "offline" for hub in all_.nodes[1:]]):
            await asyncio.sleep(0.02)
    began = loop.time()
    await all_.level()
    return loop.time() - began


async def copy_of(node: Node, home_id: str) -> Copy:
    """Of a node that was stopped."""
    store = await open_store(node.folder / "data")
    try:
        kinds = Services(store, is_cloud=node.name == "cloud").facts
        return await store.read(lambda reader: copy_in(reader, node.name, kinds, home_id))
    finally:
        await store.close()


def whole(copy: Copy) -> None:
    """Nothing is half done in a log."""
    live = {(it.kind, it.id): it for it in copy.entities if it.dead is None}
    owners = [it.id for it in live.values() if it.kind == "member" and it.fields.get("role") == "owner"]
    assert len(owners) == 1, owners
    for (kind, entity_id), it in live.items():
        room_id = it.fields.get("room_id") if kind == "device" else None
        assert room_id is None or ("room", room_id) in live, f"device {entity_id} is in a room that is gone"
        if kind == "invitation" and it.fields.get("state") == "accepted":
            taken_by = it.fields.get("taken_by")
            assert any(row.kind == "member" and row.id == taken_by for row in copy.entities), it


async def check(all_: Three) -> Outcome:
    """Of stopped nodes. Where it fails, what people were told lies beside what is there."""
    edits = [edit for node in all_.nodes for edit in node.edits]
    told = all_.cloud.folder.parent / "edits.json"
    await asyncio.to_thread(told.write_bytes, msgspec.json.encode(edits))
    copies = [await copy_of(node, all_.home_id) for node in all_.nodes]
    the_same(copies)
    for copy in copies:
        whole(copy)
    outcome = Outcome(copies[0].entities, edits)
    assert outcome.lost() == []
    return outcome


async def kill_often(folder: Path, kills: int, seed: int, figure: Callable[[str], None]) -> None:
    dice = random.Random(seed)
    async with three(folder) as all_:
        for node in all_.nodes:
            node.edit(all_.home, dice.randrange(1 << 30))
        trouble = await make_trouble(all_, kills, dice)
        took = await heal(all_)
        refused = Counter[str]()
        for node in all_.nodes:
            refused.update(node.refused)
    outcome = await check(all_)
    assert [node.faults for node in all_.nodes] == [[], [], []]
    edits = [edit for node in all_.nodes for edit in node.edits]
    assert not [what for what in refused if " 5" in what], refused
    figure(
        f"hub, hub and cloud killed -9 x {kills} {dict(trouble.kills)}, networks cut x {trouble.cuts}: {len(edits)} "
        f"acknowledged edits, none lost, {len(outcome.conflicts)} conflicts; "
        f"{took:.1f} s from the first reconnect after the last heal to level"
    )


@pytest.fixture(autouse=True)
def namespaces() -> None:
    """Skipped on a laptop that has none, failed in CI."""
    require_namespaces()


async def test_nothing_acknowledged_is_lost(tmp_path: Path, figure: Callable[[str], None]) -> None:
    await kill_often(tmp_path, SEEDED, 1, figure)


@pytest.mark.full
async def test_nothing_acknowledged_is_lost_by_many_kills(tmp_path: Path, figure: Callable[[str], None]) -> None:
    await kill_often(tmp_path, FULL, 2, figure)


async def furnished(first: Node) -> str:
    """A home with much in it; its path."""
    made = await first.done("POST", "/api/homes", {"name": "Cottage", "time_zone": "Europe/Berlin"})
    home = f"/api/homes/{made['id']}"
    for number in range(ROOMS):
        await first.done("POST", f"{home}/rooms", {"name": f"room {number}"})
    for number in range(DEVICES):
        new = {"product_id": "lamp", "node_id": f"{made['id']}-{number}", "name": f"{number}", "link": "heartbeat"}
        await first.done("POST", f"{home}/devices", new)
    return home


@pytest.mark.full
async def test_homes_arrive_whatever_is_killed_meanwhile(tmp_path: Path, figure: Callable[[str], None]) -> None:
    dice, done, homes = random.Random(3), Trouble(Counter()), list[str]()
    async with three(tmp_path) as all_:
        for _ in range(ARRIVING):
            all_.home = await furnished(all_.first)
            homes.append(all_.home)
            arriving = asyncio.create_task(all_.arrive())
            while not arriving.done():
                await asyncio.sleep(dice.uniform(0, BETWEEN_S))
                await kill_and_start([dice.choice(all_.nodes)], done, dice)
                await asyncio.wait([arriving], timeout=dice.uniform(0, 3 * BETWEEN_S))
            await arriving
    assert [node.faults for node in all_.nodes] == [[], [], []]
    for all_.home in homes:
        outcome = await check(all_)
        assert outcome.count("room") == ROOMS
        assert outcome.count("device") == DEVICES
    figure(f"{ARRIVING} homes given to a cloud and taken to a second hub under {dict(done.kills)} kills -9: all whole")
