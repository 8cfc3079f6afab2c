"""Other people's programs that judge ours: each installed into a folder of its own under `.cache/`, at one version.

They run as processes, with our interpreter and its locked libraries; nothing of ours imports them.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from fcntl import LOCK_EX, flock
from pathlib import Path

CACHE = Path(__file__).parent.parent / ".cache"

ESPRESSIF = ("esp-rainmaker-cli==1.14.1", "future==1.0.0")
"""Espressif's own provisioning client. It needs cryptography and protobuf as well: those are ours."""

AMQTT = (
    "amqtt==0.12.1",
    "dacite==1.9.2",
    "psutil==7.0.0",
    "pwdlib==0.3.0",
    "transitions==0.9.3",
    "six==1.17.0",
    "typer==0.24.0",
    "websockets==15.0.1",
)
"""Another MQTT broker in Python. It needs argon2-cffi, pyyaml, click and rich as well, which are here."""

TUYAPI = "@tuyapi/link@0.5.0"
"""Somebody else's EZ sender, for node."""

POUCHDB = ("pouchdb@9.0.0", "express-pouchdb@4.2.0", "express@4.22.3")
"""Another way to keep two databases the same, over LevelDB, and its server."""


def installed(requirements: Sequence[str]) -> Path:
    """The folder they are importable from, made now where it is not there. Raises CalledProcessError."""
    return _made("-".join(requirements[0].split("==")), lambda folder: _install(folder, requirements))


def installed_from_npm(package: str, *beside: str) -> Path:
    """The folder node finds it in, made now where it is not there, with others beside it.

    Raises OSError, CalledProcessError.
    """
    name, _, version = package.rpartition("@")
    quiet = ("--prefix", ".", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")

    def install(folder: Path) -> None:
        folder.mkdir()
        subprocess.run(["npm", "install", *quiet, package, *beside], check=True, cwd=folder)

    return _made(f"{name.strip('@').replace('/', '-')}-{version}", install) / "node_modules" / name


def _made(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of this name, made where it is not there: whole, or not at all."""
    folder = CACHE / name
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        flock(lock, LOCK_EX)  # several test workers may want it at once
        if not folder.exists():
            making = folder.with_suffix(".part")
            shutil.rmtree(making, ignore_errors=True)
            make(making)
            making.rename(folder)
    return folder


def _install(folder: Path, requirements: Sequence[str]) -> None:
    """With uv where there is one, else, or where its index has it not, with pip."""
    what = ("--no-deps", "--target", str(folder), *requirements)
    uv = shutil.which("uv")
    if (
        uv
        and not subprocess.run([uv, "pip", "install", "-q", "--python", sys.executable, *what], check=False).returncode
    ):
        return
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", *what], check=True)


def environment(folder: Path) -> dict[str, str]:
    """What a process needs to import from there."""
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"}
