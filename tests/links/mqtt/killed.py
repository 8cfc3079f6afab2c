"""The house as a process of its own, to be killed: prints its port when it listens."""

import asyncio
import sys
from pathlib import Path

import uvloop

from tests.links.mqtt.house import house


async def run(folder: Path) -> None:
    async with house(folder) as made:
        print(made.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(run(Path(sys.argv[1])))
