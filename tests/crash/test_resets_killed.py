"""The real command, killed -9 while devices call home, are reset, say that they forgot, and are let in anew."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL
from typing import Any

import httpx2
import pytest
from msgspec import Struct, field

from tests.crash.served import Hub, claim, client_of, serving

SEEDED, FULL = 3, 40
DEVICES = 8
LIFE_S = (0.3, 1.5)


class Caller(Struct):
    """A device, what its hub has said yes to, and what it was asked when it died: that may be so or not.

    `battery` counts its heartbeats. `reset` is its reset, once that was answered; `forgot`: so was its word of it.
    """

    wire_id: str
    id: str = ""
    token: str = ""
    battery: int = 0
    trying: int = 0
    reset: str = ""
    in_doubt: str = ""
    forgot: bool = False
    counts: Counter[str] = field(default_factory=Counter)

    async def step(self, hub: "Home", dice: random.Random) -> None:
        """Do the next thing, and hold the hub to what it has said before."""
        if not self.token:
            await self._enter(hub)
        elif not self.reset and dice.random() < 0.2:
            await self._be_reset(hub)
        elif not self.reset:
            await self._beat(hub)
        elif not self.forgot:
            await self._forget(hub)
        else:
            await self._check_gone(hub)

    async def _enter(self, hub: "Home") -> None:
        body = {"product_id": "lamp", "node_id": self.wire_id, "link": "heartbeat"}
        self.in_doubt = "enter"
        answer = await hub.owner.post(f"/api/homes/{hub.id}/devices", json=body)
        if answer.status_code == 409 and not self.id:  # it was in doubt, and was done: another name is as good
            self.wire_id += "x"
            return
        if answer.status_code == 409:  # the same, of one that was here before: its token is lost with the answer
            await self._renew(hub)
            return
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert self.id in ("", made["device"]["id"])  # it is the same device as before its reset
        self.id, self.token, self.in_doubt = made["device"]["id"], made["secret"], ""
        self.counts["entered"] += 1

    async def _renew(self, hub: "Home") -> None:
        renewed = await hub.owner.post(f"/api/devices/{self.id}/secret", json={})
        assert renewed.status_code == 200, renewed.text
        self.token, self.in_doubt = renewed.json()["secret"], ""

    async def _beat(self, hub: "Home") -> None:
        self.trying = self.battery + 1
        said = {"storage_used_mb": self.trying, "services": [{"service": "light", "values": {"on": True}}]}
        answer = await hub.beat(self.token, said)
        assert answer.status_code == 200, answer.text
        orders = answer.json()["commands"]
        if orders:  # it was in doubt whether it was reset, and it was
            assert (self.in_doubt, orders[0]["kind"]) == ("reset", "factory_reset")
            self.reset, self.in_doubt = orders[0]["id"], ""
            return
        self.battery, self.in_doubt = self.trying, ""
        self.counts["beaten"] += 1

    async def _be_reset(self, hub: "Home") -> None:
        self.in_doubt = self.in_doubt or "reset"
        answer = await hub.owner.post(f"/api/devices/{self.id}/reset", json={})
        assert answer.status_code == 200, answer.text
        self.reset, self.in_doubt = answer.json()["id"], ""
        self.counts["reset"] += 1

    async def _forget(self, hub: "Home") -> None:
        shown = (await hub.owner.get(f"/api/devices/{self.id}")).json()
        assert shown["unbound_at"] is not None
        answer = await hub.beat(self.token, {})
        if self.in_doubt == "forget" and answer.status_code == 401:
            self.forgot = True
            return
        (order,) = answer.json()["commands"]
        assert (order["kind"], order["id"]) == ("factory_reset", self.reset)
        self.in_doubt = "forget"
        said = {"answers": [{"id": self.reset, "ok": True}]}
        assert (await hub.beat(self.token, said)).status_code == 200
        self.forgot, self.in_doubt = True, ""
        self.counts["forgot"] += 1

    async def _check_gone(self, hub: "Home") -> None:
        assert (await hub.beat(self.token, {})).status_code == 401
        found = (await hub.owner.get(f"/api/devices/{self.id}/reset")).json()
        assert (found["id"], found["state"]) == (self.reset, "confirmed")
        self.token, self.reset, self.forgot = "", "", False

    async def check(self, hub: "Home") -> None:
        """After a restart: what was acknowledged is there."""
        if not self.id:
            return
        shown = (await hub.program.get(f"/v1/devices/{self.id}")).json()
        said = shown.get("storage_used_mb", 0)
        assert self.battery <= said <= max(self.battery, self.trying)
        if self.reset and self.token:
            assert shown["status"] == "unbound"


class Home(Struct):
    """One life of the hub, as its owner, a program and devices reach it."""

    id: str
    owner: httpx2.AsyncClient
    program: httpx2.AsyncClient
    device: httpx2.AsyncClient

    async def beat(self, token: str, said: Any) -> httpx2.Response:
        while (
            answer := await self.device.post("/v1/heartbeat", json=said, headers={"Authorization": f"Bearer {token}"})
        ).status_code == 429:
            await asyncio.sleep(0.2)  # each device has its pace; nothing of this one was taken
        return answer


class Street(Struct):
    """The home over all lives."""

    devices: list[Caller]
    owner: str = ""
    program: str = ""
    home_id: str = ""

    async def begin(self, hub: Hub) -> None:
        self.owner = await claim(hub)
        async with client_of(hub, self.owner) as owner:
            home = await owner.post("/api/homes", json={"name": "Lindenweg", "time_zone": "Europe/Berlin"})
            key = {"name": "Program", "dialect": "bota", "scopes": ["read"]}
            self.program = (await owner.post("/api/me/keys", json=key)).json()["secret"]
            self.home_id = home.json()["id"]

    async def live(self, hub: Hub, dice: random.Random, seconds: float) -> None:
        """Until the hub is killed."""
        if not self.owner:
            await self.begin(hub)
        async with (
            client_of(hub, self.owner) as owner,
            client_of(hub, self.program) as program,
            client_of(hub) as device,
        ):
            home = Home(self.home_id, owner, program, device)
            await asyncio.gather(*(each.check(home) for each in self.devices))
            asyncio.get_running_loop().call_later(seconds, hub.process.send_signal, SIGKILL)
            await asyncio.gather(*(_go_on(each, home, dice) for each in self.devices))


async def _go_on(device: Caller, home: Home, dice: random.Random) -> None:
    try:
        while True:
            await device.step(home, dice)
    except httpx2.TransportError:
        return


def kill_often(folder: Path, lives: int, seed: int, figure: Callable[[str], None]) -> None:
    dice = random.Random(seed)
    street = Street([Caller(f"d{n}") for n in range(DEVICES)])
    for _ in range(lives):
        with serving(folder) as hub:
            asyncio.run(street.live(hub, dice, dice.uniform(*LIFE_S)))
            assert hub.process.wait() == -SIGKILL
    done = sum((each.counts for each in street.devices), Counter())
    assert all(done[what] for what in ("entered", "beaten", "reset", "forgot"))
    told = ", ".join(f"{count} {what}" for what, count in sorted(done.items()))
    figure(f"kill -9 x {lives} of a hub that is called home to: {told}; nothing acknowledged was lost")


def test_killed_while_devices_are_reset(tmp_path: Path, figure: Callable[[str], None]) -> None:
    kill_often(tmp_path / "data", SEEDED, 1, figure)


@pytest.mark.full
def test_killed_forty_times_while_devices_are_reset(tmp_path: Path, figure: Callable[[str], None]) -> None:
    kill_often(tmp_path / "data", FULL, 2, figure)
