"""What devices, groups and open commands are read from memory is what is on disk, whatever was done before."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest

from app.devices.model import BoundElsewhere, DeviceFrozen, GatewayUnfit
from app.errors import NotFound
from tests.api.harness import Api
from tests.api.households import account_of
from tests.api.things import bind, home_of, room_of

HARDWARE = 8
STEPS = 150
FULL_STEPS = 2_000
ROUND = 6
SEEDS = [1, 2]
Step = Callable[[], Awaitable[object]]


class House:
    """Two homes of one person, and things that happen in them; what cannot be is refused."""

    def __init__(self, api: Api, random: Random, anna: httpx2.AsyncClient) -> None:
        self._api, self._random, self._anna = api, random, anna
        self.homes: list[str] = []
        self.rooms: list[str] = []
        self._groups: list[str] = []
        self._commands: list[tuple[str, str]] = []

    async def furnish(self) -> None:
        for _ in range(2):
            self.homes.append(await home_of(self._anna))
            self.rooms += [await room_of(self._anna, self.homes[-1]) for _ in range(2)]

    async def step(self) -> None:
        steps: list[Step] = [
            self._bind, self._bind, self._bind, self._report, self._report, self._report, self._desire, self._rename,
            self._move, self._move, self._command, self._command, self._answer, self._group, self._regroup,
            self._remove, self._reset, self._unroom, self._freeze, self._name, self._name,
            self._transfer, self._look, self._look, self._look,
        ]  # fmt: skip
        with contextlib.suppress(BoundElsewhere, DeviceFrozen, GatewayUnfit, NotFound):
            await self._random.choice(steps)()

    def made(self) -> int:
        """How many devices, groups and commands there were; 0 where one of them never was."""
        bound = len(self._api.services.devices.memory.bonds)
        return min(len(self._groups), len(self._commands), bound) and len(self._groups) + len(self._commands) + bound

    def _devices(self) -> list[str]:
        memory = self._api.services.devices.memory
        return [live.device.id for home in self.homes for live in memory.in_place(home)]

    def _device(self) -> str:
        return self._random.choice(self._devices() or ["none"])

    async def _ask(self, verb: str, path: str, body: Any = None) -> httpx2.Response:
        answer = await self._anna.request(verb, f"/api/{path}", json=body)
        assert answer.status_code < 429, answer.text
        return answer

    async def _bind(self) -> None:
        number = self._random.randrange(HARDWARE)
        behind = self._device() if number > HARDWARE // 2 and self._random.random() < 0.7 else None
        product = "gateway" if number < 2 else "lamp"
        gateway = behind if behind != "none" else None
        await bind(self._api, self._random.choice(self.homes), f"d-{number}", product=product, gateway_id=gateway)

    async def _report(self) -> None:
        values = {"on": self._random.random() < 0.5, "brightness": self._random.randrange(5, 1100), "nonsense": 1}
        await self._api.services.devices.reported(self._device(), "light", values)

    async def _desire(self) -> None:
        value = self._random.choice([True, False, None])
        await self._ask("PATCH", f"devices/{self._device()}/services/light/desired", {"values": {"on": value}})

    async def _rename(self) -> None:
        await self._ask("PATCH", f"devices/{self._device()}", {"name": f"Name {self._random.random()}"})

    async def _move(self) -> None:
        room = self._random.choice([*self.rooms, None])
        await self._ask("PATCH", f"devices/{self._device()}", {"room_id": room})

    async def _command(self) -> None:
        device_id = self._device()
        body = {"service": "light", "values": {"on": True}, "expires_in": 3600}
        given = await self._ask("POST", f"devices/{device_id}/commands", body)
        if given.status_code == 202:
            self._commands.append((device_id, given.json()["id"]))

    async def _answer(self) -> None:
        if self._commands:
            device_id, command_id = self._random.choice(self._commands)
            ok = self._random.random() < 0.5
            await self._api.services.control.answered(device_id, command_id, ok=ok, values={"on": True}, error=None)

    def _some(self) -> list[str]:
        devices = self._devices()
        return self._random.sample(devices, self._random.randrange(len(devices) + 1))

    async def _group(self) -> None:
        body = {"name": "Group", "devices": self._some()}
        made = await self._ask("POST", f"homes/{self._random.choice(self.homes)}/groups", body)
        if made.status_code == 201:
            self._groups.append(made.json()["id"])

    async def _regroup(self) -> None:
        group = self._random.choice(self._groups or ["none"])
        if self._random.random() < 0.2:
            await self._ask("DELETE", f"groups/{group}")
        else:
            await self._ask("PATCH", f"groups/{group}", {"devices": self._some()})

    async def _look(self) -> None:
        await self._ask("GET", f"homes/{self._random.choice(self.homes)}/devices")

    async def _remove(self) -> None:
        if self._random.random() < 0.3:
            await self._ask("DELETE", f"devices/{self._device()}")

    async def _reset(self) -> None:
        await self._api.services.devices.was_reset(self._device())

    async def _freeze(self) -> None:
        verb = "freeze" if self._random.random() < 0.3 else "unfreeze"
        await self._ask("POST", f"devices/{self._device()}/{verb}")

    async def _name(self) -> None:
        name = self._random.choice(["Bulb", "Other bulb", None])
        await self._ask("PATCH", f"devices/{self._device()}/names", {"names": {"light": {"on": name}}})

    async def _transfer(self) -> None:
        body = {"home_id": self._random.choice(self.homes), "room_id": self._random.choice([*self.rooms, None])}
        await self._ask("POST", f"devices/{self._device()}/transfer", body)

    async def _unroom(self) -> None:
        if self._random.random() < 0.1:
            room = self._random.choice(self.rooms)
            for home in self.homes:
                await self._ask("DELETE", f"homes/{home}/rooms/{room}")


def known(api: Api, house: House) -> dict[str, Any]:
    """Everything of it that is read from memory."""
    devices, groups = api.services.devices, api.services.groups.access
    lives = list(devices.memory.devices.values())
    places = {live.device.id for live in lives} | set(house.homes) | set(house.rooms)
    return {
        "views": {live.device.id: {**live.view().services} for live in lives},
        "devices": {live.device.id: live.device for live in lives},
        "names": sorted((live.device.id, sorted(live.names.items())) for live in lives),
        "bytes": all((live.inside(), live.outside()) == _anew(live) for live in lives),
        "places": {place: [live.device.id for live in devices.memory.in_place(place)] for place in sorted(places)},
        "hardware": [devices.of_hardware(f"d-{n}") for n in range(HARDWARE)],
        "bonds": [devices.bond_of(f"d-{n}") for n in range(HARDWARE)],
        "groups": sorted(groups.groups.values(), key=lambda group: group.id),
        "grouped": {device: sorted(groups.groups_of(device)) for device in sorted(places)},
        "open": {device: api.services.control.dispatch.count(device) for device in sorted(places)},
    }


def _anew(live: Any) -> tuple[bytes, bytes]:
    """Its bytes, encoded again."""
    live.changed()
    return live.inside(), live.outside()


async def _live_on(folder: Path, steps: int, seed: int) -> None:
    random = Random(seed)
    async with Api(folder) as api:
        anna = await api.person("anna")
        house = House(api, random, anna)
        await house.furnish()
        for _ in range(0, steps, ROUND):
            await asyncio.gather(*(house.step() for _ in range(ROUND)))
        before = known(api, house)
        assert before["bytes"]
        assert house.made() > 0
        token = account_of(anna)
    async with Api(folder) as api:
        house_again = House(api, random, api.client(token))
        house_again.homes, house_again.rooms = house.homes, house.rooms
        after = known(api, house_again)
    # Values compare as bytes of JSON do: what is raw in memory is raw from disk.
    assert repr_of(after) == repr_of(before)


def repr_of(state: dict[str, Any]) -> dict[str, str]:
    """Each part as text, for a difference that can be read."""
    views = {
        device: {name: _plain(service) for name, service in sorted(services.items())}
        for device, services in sorted(state["views"].items())
    }
    rest = {name: part for name, part in state.items() if name not in {"views", "devices"}}
    return {
        name: repr(part)
        for name, part in (rest | {"views": views, "devices": sorted(state["devices"].items())}).items()
    }


def _plain(service: Any) -> tuple[Any, ...]:
    points = [
        sorted((name, bytes(point.value), point.at) for name, point in some.items())
        for some in (service.reported, service.desired)
    ]
    return service.version, points


@pytest.mark.parametrize("seed", SEEDS)
async def test_memory_is_what_a_restart_reads(tmp_path: Path, seed: int) -> None:
    await _live_on(tmp_path / "data", STEPS, seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(10, 20))
async def test_memory_is_what_a_restart_reads_after_much(tmp_path: Path, seed: int) -> None:
    await _live_on(tmp_path / "data", FULL_STEPS, seed)
