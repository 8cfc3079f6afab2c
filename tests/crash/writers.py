"""A process to be killed: writes acts from many tasks at once and says each name once its act is acknowledged.

python -m tests.crash.writers FOLDER RUN
"""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

from app.store.prepare import open_store
from tests.crash.acts import act

WRITERS = 24


async def main(folder: Path, run: str) -> None:
    store = await open_store(folder)
    os.write(1, b"ready\n")

    async def write(writer: int) -> None:
        n = 0
        while True:
            name = await store.write(partial(act, name=f"{run}-{writer}-{n}"))
            # One write(2): a line is said whole or not at all.
            os.write(1, f"{name}\n".encode())
            n += 1

    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
