"""A disk that fails on demand, through SQLite's own hook for replacing system calls (sqlite3_vfs.xSetSystemCall).

No second SQLite and no compiler: the library that Python's sqlite3 uses is the one whose `pwrite` fails.
"""

import _sqlite3
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

_GET = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_SET = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_WRITE = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_longlong, use_errno=True
)


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, version 3 (sqlite.org/c3ref/vfs)."""

    _fields_: ClassVar = [
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        ("methods", ctypes.c_void_p * 13),
        ("xSetSystemCall", _SET),
        ("xGetSystemCall", _GET),
        ("xNextSystemCall", ctypes.c_void_p),
    ]


def _vfs() -> "ctypes._Pointer[_Vfs]":
    find = ctypes.CDLL(getattr(_sqlite3, "__file__", None)).sqlite3_vfs_find
    find.restype = ctypes.POINTER(_Vfs)
    found: ctypes._Pointer[_Vfs] = find(None)
    return found


class FaultyDisk:
    """Counts SQLite's writes; from the `fails_at`th on (`lasting`) or that one alone they fail with `errno`."""

    def __init__(self) -> None:
        self.writes = 0
        self.failed = 0
        self.fails_at: int | None = None
        self.lasting = False
        self.errno = 0

    def fail(self, after: int, errno: int, *, lasting: bool) -> None:
        """Let `after` more writes succeed."""
        self.fails_at, self.errno, self.lasting = self.writes + after, errno, lasting

    def heal(self) -> None:
        """Every write succeeds again."""
        self.fails_at = None

    def refuses(self) -> bool:
        """Count a write; whether it is to fail."""
        number = self.writes
        self.writes += 1
        if self.fails_at is None or number < self.fails_at or (number > self.fails_at and not self.lasting):
            return False
        self.failed += 1
        return True


@contextmanager
def faulty_disk() -> Iterator[FaultyDisk]:
    """Put a FaultyDisk under every connection of this process, for a while."""
    disk, vfs = FaultyDisk(), _vfs()
    kept = []
    # Which of them this build of SQLite writes with; the others it never calls.
    for name in (b"pwrite64", b"pwrite"):
        if (address := vfs.contents.xGetSystemCall(vfs, name)) is None:
            continue
        real = _WRITE(address)

        def write(fd: int, data: int, size: int, offset: int, real: "ctypes._FuncPointer" = real) -> int:
            if disk.refuses():
                ctypes.set_errno(disk.errno)
                return -1
            return int(real(fd, data, size, offset))

        replacement = _WRITE(write)
        vfs.contents.xSetSystemCall(vfs, name, ctypes.cast(replacement, ctypes.c_void_p))
        kept.append((name, address, replacement))
    try:
        yield disk
    finally:
        for name, address, _ in kept:
            vfs.contents.xSetSystemCall(vfs, name, address)
