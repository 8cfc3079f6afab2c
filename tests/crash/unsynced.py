"""A process whose writing thread can no longer sync to disk: prints one JSON line about what that led to.

python -m tests.crash.unsynced FOLDER
"""

import asyncio
import ctypes
import errno
import json
import os
import platform
import struct
import sys
from functools import partial
from pathlib import Path

from app.store.errors import StoreError
from app.store.prepare import open_store
from tests.crash.acts import act, found

# fsync and fdatasync (asm/unistd.h)
SYNCS = {"x86_64": (74, 75), "aarch64": (82, 83), "riscv64": (82, 83), "armv7l": (118, 148)}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_NUMBER, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000 | errno.EIO


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def lose_sync() -> None:
    """From now on this thread's fsync and fdatasync fail with EIO (seccomp(2)); there is no way back."""
    first, second = SYNCS[platform.machine()]
    steps = (
        (LOAD_NUMBER, 0, 0, 0),
        (JUMP_EQUAL, 2, 0, first),
        (JUMP_EQUAL, 1, 0, second),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, FAIL),
    )
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(steps), code)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program)
    ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


async def main(folder: Path) -> None:
    store = await open_store(folder)
    kept = {await store.write(partial(act, name=f"before{n}")) for n in range(20)}
    await store._write_connection.hop(lambda db: lose_sync())
    codes = []
    for n in range(20):
        try:
            kept.add(await store.write(partial(act, name=f"unsynced{n}")))
        except StoreError as error:
            codes.append(error.code)
    read_meanwhile = await store.read(found)
    await store.close()
    # New threads, which can sync.
    store = await open_store(folder)
    kept.add(await store.write(partial(act, name="after")))
    exact = await store.read(found) == (kept, set())
    await store.close()
    report = {"codes": codes, "acknowledged": len(kept), "exact": exact, "read_meanwhile": len(read_meanwhile[0])}
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
