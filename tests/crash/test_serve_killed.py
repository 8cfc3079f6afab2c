"""The real command, killed -9 under requests: everything it answered with success is there when it is back.

What was under way when it died is sent again under its Idempotency-Key, as a phone would: one effect.
"""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from msgspec import Struct, field

from tests.crash.served import Hub, claim, client_of, serving

PHONES = 12
ROOMS = 100
SEEDED, FULL = 3, 40
MOST_ANSWERED = 400


class Request(Struct):
    """Something a phone asks for, and goes on asking for until it is answered."""

    method: str
    path: str
    body: dict[str, Any]
    key: str = field(default_factory=lambda: uuid4().hex)


class Phone(Struct):
    """One client with a home of its own: what it was told exists (path: body), and what it is waiting for."""

    dice: random.Random
    home: str | None = None
    told: dict[str, Any] = field(default_factory=dict)
    waiting: Request | None = None

    def next(self) -> Request:
        """A home first; then rooms, made and renamed."""
        name = f"name {self.dice.getrandbits(48):x}"
        if self.home is None:
            return Request("POST", "/api/homes", {"name": name, "time_zone": "Europe/Berlin"})
        rooms = [path for path in self.told if path.startswith(f"{self.home}/rooms/")]
        if len(rooms) < ROOMS and (not rooms or self.dice.random() < 0.6):
            return Request("POST", f"{self.home}/rooms", {"name": name})
        return Request("PATCH", self.dice.choice(rooms), {"name": name})

    def answered(self, request: Request, body: dict[str, Any]) -> None:
        """Remember what success was reported of."""
        path = request.path if request.method == "PATCH" else f"{request.path}/{body['id']}"
        self.told[path] = body
        self.home = self.home or path
        self.waiting = None


async def ask(client: httpx2.AsyncClient, request: Request) -> dict[str, Any]:
    answer = await client.request(
        request.method, request.path, json=request.body, headers={"Idempotency-Key": request.key}
    )
    assert answer.is_success, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def use_until_killed(hub: Hub, token: str, phones: list[Phone], enough: int) -> int:
    """All phones at once; after `enough` answers the hub is killed. How many answers arrived."""
    answered = 0

    async def use(phone: Phone, client: httpx2.AsyncClient) -> None:
        nonlocal answered
        while True:
            phone.waiting = request = phone.next()
            try:
                phone.answered(request, await ask(client, request))
            except httpx2.TransportError:
                return
            answered += 1
            if answered == enough:
                hub.process.kill()

    async with client_of(hub, token) as client:
        await asyncio.gather(*(use(phone, client) for phone in phones))
    return answered


async def make_good(hub: Hub, token: str, phones: list[Phone]) -> int:
    """Send again what was not answered, then compare everything each phone was told with what there is."""
    async with client_of(hub, token) as client:
        for phone in phones:
            if phone.waiting is not None:
                phone.answered(phone.waiting, await ask(client, phone.waiting))
            for path, body in phone.told.items():
                assert (await client.get(path)).json() == body
            rooms = (await client.get(f"{phone.home}/rooms")).json()["items"]
            assert len(rooms) == len(phone.told) - 1
        homes = (await client.get("/api/homes", params={"limit": 100})).json()["items"]
    assert len(homes) == len(phones)
    return sum(len(phone.told) for phone in phones)


def kill_often(folder: Path, times: int, seed: int, figure: Callable[[str], None]) -> None:
    dice = random.Random(seed)
    phones = [Phone(random.Random(dice.random())) for _ in range(PHONES)]
    took, answered, kept, token = [], 0, 0, ""
    for life in range(times + 1):
        begun = time.perf_counter()
        with serving(folder) as hub:
            took.append(time.perf_counter() - begun)
            token = token or asyncio.run(claim(hub))
            kept = asyncio.run(make_good(hub, token, phones)) if life else 0
            if life < times:
                enough = dice.randint(1, MOST_ANSWERED)
                arrived = asyncio.run(use_until_killed(hub, token, phones, enough))
                # Else it went away by itself.
                assert arrived >= enough
                answered += arrived
                assert hub.process.wait() == -9
    figure(
        f"serve killed -9 x {times}: {answered} requests answered with success, {kept} things compared, none lost; "
        f"back and answering in {sorted(took[1:])[len(took) // 2] * 1000:.0f} ms (median)"
    )


def test_what_was_answered_is_there_after_a_kill(tmp_path: Path, figure: Callable[[str], None]) -> None:
    kill_often(tmp_path / "data", SEEDED, 1, figure)


@pytest.mark.full
def test_what_was_answered_is_there_after_many_kills(tmp_path: Path, figure: Callable[[str], None]) -> None:
    kill_often(tmp_path / "data", FULL, 2, figure)
