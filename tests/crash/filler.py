"""A process that fills its disk: prints one JSON line about what it met, and what it found after space was freed.

python -m tests.crash.filler FOLDER: fills until refused, asks for space on stdout ("full"), waits for a line on
stdin, goes on.
"""

import asyncio
import json
import resource
import sys
from functools import partial
from pathlib import Path

from app.store.errors import StoreError
from app.store.prepare import open_store
from tests.crash.acts import act, found


async def main(folder: Path, limit: int) -> None:
    # Without root there is no small disk to mount: a limit on file sizes stands in.
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    store = await open_store(folder)
    kept, codes = [], []
    for n in range(100_000):
        try:
            kept.append(await store.write(partial(act, name=f"{n:06}")))
        except StoreError as error:
            codes.append(error.code)
            if len(codes) == 5:
                break
    read_while_full = await store.read(found)
    print("full", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    kept_after = await store.write(partial(act, name="after"))
    await store.close()
    store = await open_store(folder)
    whole, half_made = await store.read(found)
    await store.close()
    print(
        json.dumps(
            {
                "codes": codes,
                "kept": len(kept),
                "read_while_full": read_while_full == (set(kept), set()),
                "exact": whole == {*kept, kept_after},
                "half_made": len(half_made),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
