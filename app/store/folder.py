"""The data folder: its file names, its modes, and the exclusive lock of whoever works in it."""

import fcntl
import os
import time
from pathlib import Path

from app.store.errors import FolderUnusable, StoreBusy

DATABASE = "doorstep.db"
VAULT_KEY = "vault.key"
# Used by app.tls and app.admin; named here because a backup takes the first two along and leaves the socket.
TLS_KEY = "tls.key"
TLS_CERTIFICATE = "tls.crt"
ADMIN_SOCKET = "admin.sock"
LOCK = "lock"
# What phones know a hub by, beside the database.
IDENTITY = (TLS_KEY, TLS_CERTIFICATE)
# Copies made before an upgrade; and what a restore or a salvage has replaced.
COPIES = "copies"
ASIDE = "aside"
# A restore being built, and one that is whole and only has to be moved into place.
RESTORING = "restoring"
RESTORED = "restored"
# The database as a backup reads it, for as long as that takes.
SNAPSHOT = "snapshot.tmp"

FOLDER_MODE = 0o700
FILE_MODE = 0o600


class Folder:
    """A data folder this process holds alone, until `release` or until it dies, however it dies."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock: int | None = lock

    @classmethod
    def hold(cls, path: Path) -> "Folder":
        """Make `path` when it is missing (0700) and lock it; raises StoreBusy or FolderUnusable. Blocks on the disk."""
        path = path.absolute()
        try:
            _make(path)
            lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise FolderUnusable(f"{path} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(lock, 20).decode(errors="replace").strip()
            os.close(lock)
            raise StoreBusy(f"{path} is in use by process {holder or '?'}") from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return cls(path, lock)

    def release(self) -> None:
        """Let others have it. Safe to call twice."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path / DATABASE

    @property
    def vault_key(self) -> Path:
        """The key of the secrets in the database."""
        return self.path / VAULT_KEY

    def has_database(self) -> bool:
        """Whether anything was ever written here; a file left empty by a crash at the first start does not count."""
        return self.database.exists() and self.database.stat().st_size > 0

    def subfolder(self, name: str) -> Path:
        """A folder inside, made (0700) when missing."""
        inside = self.path / name
        inside.mkdir(mode=FOLDER_MODE, exist_ok=True)
        return inside

    def aside(self, at_ns: int) -> Path:
        """The folder under `aside` for what was replaced at that time, made when missing."""
        name = time.strftime("%Y%m%dT%H%M%S", time.gmtime(at_ns // 1_000_000_000))
        aside = self.subfolder(ASIDE) / f"{name}.{at_ns % 1_000_000_000:09}Z"
        aside.mkdir(mode=FOLDER_MODE, exist_ok=True)
        return aside


def is_held(path: Path) -> bool:
    """Whether some process works in `path` right now."""
    try:
        descriptor = os.open(path / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def make_private(path: Path) -> None:
    """Create an empty file only its owner can read, unless there is one; SQLite gives its log the same mode."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))


def write_private(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, 0600: after a crash it holds the old or the new, whole."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Put the content of a file, or the names in a folder, on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(path: Path) -> None:
    """A folder somebody else uses as well keeps its mode: our files in it are private by themselves."""
    if not path.exists():
        path.mkdir(mode=FOLDER_MODE, parents=True)
    elif (path / DATABASE).exists() or not any(path.iterdir()):
        path.chmod(FOLDER_MODE)
