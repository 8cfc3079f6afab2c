"""The lamp as a process of its own, on the air at the port given: `python -m tests.ble.lamp_process PORT`."""

import asyncio
import sys

from tests.ble.rig import LAMP, Lamp


async def main(port: int) -> None:
    lamp = Lamp()
    await lamp.join(port)
    await lamp.advertise(services=[LAMP], name="lamp")
    await lamp.lost


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
