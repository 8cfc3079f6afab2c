"""The house as a process of its own, to be killed: prints its port when it listens.

With a name beside the folder it keeps messages for the device `dev`, QoS 1 and 2 in turn, and prints which are kept.
"""

import asyncio
import sys
from itertools import count
from pathlib import Path

import uvloop

from tests.links.mqtt.house import House, house


async def run(folder: Path, name: str) -> None:
    async with house(folder) as made:
        print(made.port, flush=True)
        if name:
            await keep(made, name)
        await asyncio.Event().wait()


async def keep(made: House, name: str) -> None:
    for n in count():
        text = f"{name}-{n:06}"
        while not await made.endpoint.keep("dev", f"dev/down/{1 + n % 2}", text.encode(), qos=1 + n % 2):
            await asyncio.sleep(0.001)  # nobody has subscribed yet, or as much is kept as may be
        print(text, flush=True)


if __name__ == "__main__":
    uvloop.run(run(Path(sys.argv[1]), "".join(sys.argv[2:])))
