"""Other people's programs that judge ours: each installed into a folder of its own under `.cache/`, at one version.

They run as processes, with our interpreter and its locked libraries; nothing of ours imports them.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from fcntl import LOCK_EX, flock
from pathlib import Path

CACHE = Path(__file__).parent.parent / ".cache"

ESPRESSIF = ("esp-rainmaker-cli==1.14.1", "future==1.0.0")
"""Espressif's own provisioning client. It needs cryptography and protobuf as well: those are ours."""

TUYAPI = "@tuyapi/link@0.5.0"
"""Somebody else's EZ sender, for node."""


def installed(requirements: Sequence[str]) -> Path:
    """The folder they are importable from, made now where it is not there. Raises CalledProcessError."""
    target = [*_installer(), "--no-deps", "--target", ".", *requirements]
    return _made("-".join(requirements[0].split("==")), target)


def installed_from_npm(package: str) -> Path:
    """The folder node finds it in, made now where it is not there. Raises OSError, CalledProcessError."""
    name, _, version = package.rpartition("@")
    quiet = ("--prefix", ".", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    folder = _made(f"{name.strip('@').replace('/', '-')}-{version}", ["npm", "install", *quiet, package])
    return folder / "node_modules" / name


def _made(name: str, command: Sequence[str]) -> Path:
    """The folder of this name, made by the command, which is run in it, where it is not there."""
    folder = CACHE / name
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        flock(lock, LOCK_EX)  # several test workers may want it at once
        if not folder.exists():
            making = folder.with_suffix(".part")
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            subprocess.run(command, check=True, cwd=making)
            making.rename(folder)
    return folder


def _installer() -> list[str]:
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "-q", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]


def environment(folder: Path) -> dict[str, str]:
    """What a process needs to import from there."""
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"}
