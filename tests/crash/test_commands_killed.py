"""The real command, killed -9 while people ask things of devices that sleep: done once and in order, or expired."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from signal import SIGKILL
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from msgspec import Struct, field

from app.clock import to_ms
from tests.crash.killing import Claimed
from tests.crash.served import Hub, client_of, serving
from tests.crash.sleepers import Fetcher, Life, LinkSleeper, MqttSleeper, SilentFetcher, Sleeper
from tests.e2e.living import WAIT, living

FLEET = (LinkSleeper, LinkSleeper, MqttSleeper, MqttSleeper, Fetcher, SilentFetcher)
LONG_S = 600.0
# One in so many is to be over soon: before its device wakes, or just after, or while the hub is dead.
SHORT_OF = 3
# For what a device does and never tells of.
UNHEARD_S = 8.0
# A frame that was on its way when it was over is late by as long as this machine lets its reader wait.
ON_THE_WAY_MS = 10_000
LIFE_S = 10.0


class Asked(Struct):
    """A command that was answered with yes; `long` ones have no reason to expire."""

    id: str
    expires_at: int
    long: bool
    end: dict[str, Any] = {}


class Asker(Struct):
    """Somebody who asks things of one device, one after the other, and each until it is answered."""

    device: Sleeper
    dice: random.Random
    left: int
    asked: list[Asked] = field(default_factory=list)
    waiting: dict[str, Any] | None = None

    def next(self) -> dict[str, Any]:
        """Another order, under a key of its own."""
        short = self.dice.randrange(SHORT_OF) == 0
        lasts = self.dice.uniform(0.02, 0.4) if short else UNHEARD_S if self.is_unheard else LONG_S
        values = {"on": bool(self.left % 2), "brightness": 10 + self.left}
        return {"key": uuid4().hex, "short": short, "body": {"service": "light", "values": values, "expires_in": lasts}}

    @property
    def is_unheard(self) -> bool:
        return isinstance(self.device, SilentFetcher)

    async def ask(self, life: Life, leaving: int = 0) -> None:
        """Until so many are left to ask, or the hub is dead."""
        while self.left > leaving:
            self.waiting = order = self.waiting or self.next()
            try:
                answer = await life.client.post(
                    f"/api/devices/{self.device.id}/commands",
                    json=order["body"],
                    headers={"Idempotency-Key": order["key"]},
                )
            except httpx2.TransportError:
                return
            assert answer.status_code == 202, answer.text
            made, long = answer.json(), not order["short"] and not self.is_unheard
            self.asked.append(Asked(made["id"], to_ms(datetime.fromisoformat(made["expires_at"])), long))
            self.waiting, self.left = None, self.left - 1
            life.happened.put_nowait("asked")
            await asyncio.sleep(self.dice.uniform(0, 0.1))


class House(Struct):
    """A folder whose hub knows the fleet."""

    folder: Path
    owner: Claimed
    hub_id: str
    hub_key: bytes


async def furnished(folder: Path, fleet: list[Sleeper]) -> House:
    async with living(folder) as hub:
        await hub.claim()
        identity = await hub.node.services.hub.identity()
        for device in fleet:
            await device.enter(hub)
        token = hub.owner.headers["authorization"].removeprefix("Bearer ")
        return House(folder, Claimed(folder, token, hub.home_id), identity.hub_id, identity.public)


@asynccontextmanager
async def lived(hub: Hub, house: House, fleet: list[Sleeper]) -> AsyncIterator[Life]:
    """A life of the hub, in which the fleet wakes and sleeps."""
    async with client_of(hub, house.owner.token) as client:
        life = Life(
            client, int(hub.ready["link_port"]), int(hub.ready["mqtt_ports"]["tcp"]), house.hub_key, house.hub_id
        )
        tasks = [asyncio.create_task(device.live(life)) for device in fleet]
        try:
            yield life
        finally:
            # Not cancelled: whoever is just connecting would leave its connection open.
            life.over = True
            await asyncio.gather(*tasks)


async def live_until_killed(hub: Hub, house: House, askers: list[Asker], leaving: int, enough: int) -> None:
    """The hub dies after so many things have happened, or in its time; what is left to ask is for its next lives."""
    async with lived(hub, house, [each.device for each in askers]) as life:
        asking = [asyncio.create_task(each.ask(life, leaving)) for each in askers]
        with suppress(TimeoutError):
            async with asyncio.timeout(LIFE_S):
                for _ in range(enough):
                    await life.happened.get()
        hub.process.kill()
        await asyncio.gather(*asking)


async def live_to_the_end(hub: Hub, house: House, askers: list[Asker]) -> None:
    """Everything is asked, and every command ends."""
    async with lived(hub, house, [each.device for each in askers]) as life:
        await asyncio.gather(*(each.ask(life) for each in askers))
        async with asyncio.timeout(WAIT):
            for each in askers:
                await read_ends(life, each)


async def read_ends(life: Life, asker: Asker) -> None:
    for one in asker.asked:
        while not one.end or "ended_at" not in one.end:
            one.end = (await life.client.get(f"/api/devices/{asker.device.id}/commands/{one.id}")).json()
            if "ended_at" not in one.end:
                await asyncio.sleep(0.1)


def judge(asker: Asker) -> Counter[str]:
    """What must be true of each device and what was asked of it."""
    device, asked = asker.device, [each.id for each in asker.asked]
    done = [each.id for each in device.done]
    assert len(done) == len(set(done)), f"{device.kind}: done twice"
    assert done == [each for each in asked if each in set(done)], f"{device.kind}: out of order, or never asked"
    assert device.expired == [], f"{device.kind}: handed out after their time"
    expires = {each.id: each.expires_at for each in asker.asked}
    assert max((each.at - expires[each.id] for each in device.done), default=0) < ON_THE_WAY_MS
    assert device.unasked == [], f"{device.kind}: handed out after they were acknowledged"
    ends = Counter(each.end["state"] for each in asker.asked)
    assert ends.keys() <= {"answered", "expired"}, ends
    for each in asker.asked:
        if each.end["state"] == "answered":
            assert each.id in done, f"{device.kind}: answered by nobody"
        assert each.end["state"] == "answered" or not each.long, f"{device.kind}: lost"
    return ends


def kill_often(folder: Path, commands: int, times: int, seed: int, figure: Callable[[str], None]) -> None:
    dice = random.Random(seed)
    fleet: list[Sleeper] = [kind(random.Random(dice.random())) for kind in FLEET * max(1, commands // 100)]
    each = -(-commands // len(fleet))
    askers = [Asker(device, random.Random(dice.random()), each) for device in fleet]
    house = asyncio.run(furnished(folder, fleet))
    for life in range(1, times + 1):
        with serving(folder) as hub:
            enough = dice.randint(1, 4 * commands // times)
            asyncio.run(live_until_killed(hub, house, askers, each - each * life // times, enough))
            assert hub.process.wait() == -SIGKILL
    with serving(folder) as hub:
        asyncio.run(live_to_the_end(hub, house, askers))
    ends: Counter[str] = Counter()
    for asker in askers:
        ends += judge(asker)
    done, given = sum(len(one.done) for one in fleet), sum(one.given for one in fleet)
    figure(
        f"serve killed -9 x {times}: {ends.total()} commands to {len(fleet)} sleeping devices, {given} handed out, "
        f"{done} done, none twice, all in order; {ends['answered']} answered, {ends['expired']} expired, none lost, "
        f"none handed out after its time"
    )


def test_commands_to_sleepers_outlive_kills(tmp_path: Path, figure: Callable[[str], None]) -> None:
    kill_often(tmp_path / "data", 60, 3, 1, figure)


@pytest.mark.full
def test_a_thousand_commands_to_sleepers_outlive_twenty_kills(tmp_path: Path, figure: Callable[[str], None]) -> None:
    kill_often(tmp_path / "data", 1_000, 20, 2, figure)
