"""`doorstep serve` with one way in besides: there a test's devices fetch what waits for them, as any link lets them."""

import time
from typing import Any

from litestar import Router, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from app import server
from app.cli import run
from app.control.service import Control
from app.policy import Action

PATH = "/api/fetch"


class Answered(Struct):
    """To one command."""

    id: str
    values: dict[str, Any]


class Said(Struct):
    """What a device has of what it was given before, and what it did; then how much more it takes."""

    remembers: bool
    limit: int
    acknowledged: list[str] = []
    answers: list[Answered] = []


class Given(Struct):
    """A command, as the device is given it."""

    id: str
    values: dict[str, Any]
    expires_at: int


class Bag(Struct):
    """`at`: the hub's clock before it took them."""

    at: int
    commands: list[Given]


@post("/{device_id:str}", opt={"action": Action.PUBLIC}, status_code=200)
async def fetch(control: NamedDependency[Control], device_id: FromPath[str], data: JSONBody[Said]) -> Bag:
    """Who it is nobody asks here: that is the links'."""
    await control.acknowledged(device_id, data.acknowledged)
    for answer in data.answers:
        await control.answered(device_id, answer.id, ok=True, values=answer.values, error=None)
    at = time.time_ns() // 1_000_000
    taken = await control.take(device_id, data.limit, remembers=data.remembers)
    return Bag(at, [Given(each.id, each.body.values, each.expires_at) for each in taken])


if __name__ == "__main__":
    vars(server)["ROUTERS"] += (Router("/fetch", route_handlers=[fetch]),)
    run()
