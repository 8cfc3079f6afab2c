"""The hub's endpoint by itself, over a store of its own; `memory` acknowledges what is nowhere on disk."""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from app.errors import DoorstepError
from app.links.mqtt.limits import Limits
from app.links.mqtt.ports import Message, Principal
from tests.links.mqtt.house import Keeper, house


class Forgetful(Keeper):
    """Hears, and writes nothing."""

    async def published(self, principal: Principal, messages: Sequence[Message]) -> Sequence[DoorstepError | None]:
        return [None] * len(messages)


class Durable(Keeper):
    """As in the tests, but keeps no list."""

    def _say(self, what: str, of: str) -> None:
        pass


async def serve(folder: Path, how: str) -> None:
    """Print the port; run until killed. Prints how late the loop was, in ms, each time a line is read."""
    many = 10_000_000
    limits = Limits(
        sessions=many, strangers=many, strangers_per_address=many, connections_per_address=many, rate=many, burst=many
    )
    async with house(folder, limits, Forgetful if how == "memory" else Durable) as made:
        print(made.port, flush=True)
        lags: list[float] = []
        watching = asyncio.create_task(_watch(lags))
        loop, asked = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(sys.stdin.fileno(), asked.set)
        with contextlib.suppress(EOFError):
            while True:
                await asked.wait()
                asked.clear()
                if not sys.stdin.buffer.readline():
                    break
                print(",".join(f"{lag * 1000:.2f}" for lag in lags), await made.count(), flush=True)
                lags.clear()
        watching.cancel()


async def _watch(lags: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        at = loop.time() + 0.005
        await asyncio.sleep(0.005)
        lags.append(loop.time() - at)


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), sys.argv[2]))
