"""The same Idempotency-Key again, one to five times at once, over the network: one effect and one answer."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.commands.child import Child, HubProcess
from tests.e2e.household import now
from tests.e2e.verbs import command
from tests.e2e.witness import Witness
from tests.security.canaries import Canaries

SEEDED, FULL, AT_ONCE, MOST_REPEATS = 45, 1000, 20, 5
PASSWORD = {"DOORSTEP_PASSWORD": "correct horse battery"}
PATIENT = {f"DOORSTEP_LIMITS__{name}": "1000000" for name in ("REQUESTS_PER_SECOND", "REQUEST_BURST")}
# More than these are refused by their own limits; commands are asked for instead.
CAPS = {"home": 40, "room": 90, "key": 90, "deletion": 90, "invitation": 400, "share": 90}

Answer = tuple[int, bytes, str | None]


class Asked:
    """One thing to be done once: what to send, and every answer to it."""

    def __init__(self, kind: str, key: str, method: str, path: str, body: object, expected: int) -> None:
        self.kind, self.key, self.expected = kind, key, expected
        self._request = (method, path, body)
        self.answers: list[Answer] = []

    async def send(self, api: httpx2.AsyncClient) -> None:
        """Once more."""
        method, path, body = self._request
        answer = await api.request(method, path, json=body, headers={"Idempotency-Key": self.key})
        self.answers.append((answer.status_code, answer.content, answer.headers.get("etag")))

    def check(self) -> None:
        """Every answer is the first one, which is a success."""
        assert {status for status, _, _ in self.answers} == {self.expected}, (self.kind, self.answers)
        assert len(set(self.answers)) == 1, (self.kind, self.answers)


class Hub:
    """A served hub with a lamp that is a process of its own, and how many acts of each kind were asked for."""

    def __init__(self, api: httpx2.AsyncClient, home: str, lamp: Child, lamp_path: str, room: str) -> None:
        self.api, self.home, self.lamp, self._lamp_path, self._room = api, home, lamp, lamp_path, room
        self.done: Counter[str] = Counter()
        self._kinds: dict[str, tuple[str, str, Callable[[str], object], int]] = {
            "home": ("POST", "/api/homes", lambda key: {"name": key, "time_zone": "UTC"}, 201),
            "room": ("POST", f"{home}/rooms", lambda key: {"name": key}, 201),
            "change": ("PATCH", room, lambda key: {"name": key}, 200),
            "deletion": ("DELETE", f"{home}/rooms/", lambda key: None, 204),
            "invitation": ("POST", f"{home}/invitations", lambda key: {"role": "guest"}, 201),
            "share": ("POST", f"{lamp_path}/shares", lambda key: {"remark": key}, 201),
            "key": ("POST", "/api/me/keys", lambda key: {"name": key, "scopes": ["read"]}, 201),
            "command": ("POST", f"{lamp_path}/commands", lambda key: {"service": "light", "values": {"on": True}}, 202),
            "pairing": ("POST", f"{home}/pairing", lambda key: {"method": "wired", "device_id": f"d-{key}"}, 201),
        }

    async def asked(self, dice: random.Random, n: int) -> Asked:
        """The nth thing to be done."""
        kind = list(self._kinds)[n % len(self._kinds)]
        if self.done[kind] >= CAPS.get(kind, n + 1):
            kind = "command"
        self.done[kind] += 1
        method, path, body, expected = self._kinds[kind]
        key = f"{kind} {n} {dice.getrandbits(32):x}"
        if kind == "deletion":
            path += (await self.api.post(f"{self.home}/rooms", json={"name": key})).json()["id"]
        return Asked(kind, key, method, path, body(key), expected)

    async def listed(self, path: str) -> int:
        """How many there are in a list."""
        count, params = 0, {"limit": "200"}
        while True:
            page = (await self.api.get(path, params=params)).json()
            count += len(page["items"])
            if page["next"] is None:
                return count
            params["cursor"] = page["next"]

    async def end_pairings(self) -> None:
        """A home has eight open at most."""
        for session in (await self.api.get(f"{self.home}/pairing")).json()["items"]:
            if session["state"] != "cancelled":
                await self.api.post(f"{self.home}/pairing/{session['id']}/cancel")

    async def effects(self) -> Counter[str]:
        """How often each kind has happened, as the hub shows it and as the lamp did it."""
        for _ in range(self.done["command"]):
            await self.lamp.until(event="command")
        return Counter(
            home=await self.listed("/api/homes") - 1,
            room=await self.listed(f"{self.home}/rooms") - 1,
            change=(await self.api.get(self._room)).json()["version"] - 1,
            deletion=self.done["deletion"],  # those not deleted would be rooms too many
            invitation=await self.listed(f"{self.home}/invitations"),
            share=await self.listed(f"{self._lamp_path}/shares"),
            key=await self.listed("/api/me/keys"),
            command=await self.listed(f"{self._lamp_path}/commands"),
            pairing=await self.listed(f"{self.home}/pairing") - 1,
        )


async def paired(api: httpx2.AsyncClient, home: str, lamp: Child) -> str:
    """The path of the lamp, which is in the home now."""
    wanted = {"method": "wired", "pin": "31415926", "device_id": (await lamp.until(event="ready"))["id"]}
    started = await api.post(f"{home}/pairing", json=wanted)
    path = f"{home}/pairing/{started.json()['id']}"
    await lamp.until(event="linked")
    async with asyncio.timeout(60):
        while (session := (await api.get(path)).json())["state"] != "joined":
            await asyncio.sleep(0.02)
    return f"/api/devices/{session['device_ids'][0]}"


@asynccontextmanager
async def a_hub(folder: Path) -> AsyncIterator[Hub]:
    data, pin = folder / "hub", ("--pin", "31415926")
    async with HubProcess(data, "--no-tls", environ=PATIENT) as hub, Child("device", "--product", "lamp", *pin) as lamp:
        _, claimed = await command("account", "claim", "anna", "--data", data, environ=PASSWORD)
        token = claimed["session"]["access_token"]
        async with Witness(Canaries()).client(hub.ready["url"], token) as api:
            assert (await api.put("/api/hub/clock", json={"time": now()})).status_code == 200
            made: dict[str, Any] = (await api.post("/api/homes", json={"name": "Home", "time_zone": "UTC"})).json()
            home = f"/api/homes/{made['id']}"
            room = (await api.post(f"{home}/rooms", json={"name": "Kitchen"})).json()["id"]
            yield Hub(api, home, lamp, await paired(api, home, lamp), f"{home}/rooms/{room}")


async def repeat(folder: Path, keys: int, seed: int) -> None:
    """Each key by one to five at once, keys mixed; then each once more."""
    dice = random.Random(seed)
    async with a_hub(folder) as hub:
        for first in range(0, keys, AT_ONCE):
            acts = [await hub.asked(dice, n) for n in range(first, min(first + AT_ONCE, keys))]
            sending = [act for act in acts for _ in range(dice.randint(1, MOST_REPEATS))]
            dice.shuffle(sending)
            await asyncio.gather(*(act.send(hub.api) for act in sending))
            await hub.end_pairings()
            await asyncio.gather(*(act.send(hub.api) for act in acts))
            for act in acts:
                act.check()
        assert await hub.effects() == hub.done


async def test_repeats_over_the_network_have_one_effect_and_one_answer(tmp_path: Path) -> None:
    await repeat(tmp_path, SEEDED, seed=5)


@pytest.mark.full
async def test_a_thousand_keys_over_the_network(tmp_path: Path) -> None:
    await repeat(tmp_path, FULL, seed=6)
