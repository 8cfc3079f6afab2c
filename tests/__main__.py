"""`python3 -m tests`: everything CI checks, in one command. Arguments go to pytest (`--full`, a path, `-k`).

Runs ruff and mypy first, then pytest on three workers. Naming a path runs only those tests, and no linters.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from app import bootstrap
from tests import outside

CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy", "-p", "app", "-p", "pairing", "-p", "ble", "-p", "tests"),
)
# Debian package by the program the tests start: network namespaces with nothing but `lo` up, a D-Bus of their own.
SYSTEM = {"ip": "iproute2", "unshare": "util-linux", "dbus-daemon": "dbus", "node": "nodejs", "npm": "npm"}
SYSTEM |= {"mosquitto": "mosquitto", "mosquitto_pub": "mosquitto-clients"}
# One more than the cores of a small machine: most of what a test takes is waiting, for peers and for timers.
WORKERS = "3"


def _say(text: str) -> None:
    sys.stderr.write(f"tests: {text}\n")
    sys.stderr.flush()


def _run(argv: Sequence[str]) -> int:
    return subprocess.run(argv, cwd=bootstrap.ROOT, check=False).returncode


def _system_packages() -> None:
    missing = sorted({package for program, package in SYSTEM.items() if not shutil.which(program)})
    if not missing:
        return
    wanted = " ".join(missing)
    if os.geteuid() or not shutil.which("apt-get"):
        _say(f"some tests need {wanted}, which cannot be installed from here; install it if they fail")
        return
    _say(f"installing {wanted}")
    if _run(["apt-get", "install", "-qq", "-y", *missing]):
        _run(["apt-get", "update", "-qq"])
        _run(["apt-get", "install", "-qq", "-y", *missing])


def _compile() -> None:
    """Ours as well as the libraries: the tests start hundreds of programs, also where Python writes no bytecode."""
    _run([sys.executable, "-m", "compileall", "-q", "app", "pairing", "ble", "tests"])


def _outside_programs() -> None:
    """Ahead of the tests that need them, so that a failure to fetch is seen as one."""
    for name, install in (
        (outside.ESPRESSIF[0], partial(outside.installed, outside.ESPRESSIF)),
        (outside.TUYAPI, partial(outside.installed_from_npm, outside.TUYAPI)),
    ):
        try:
            install()
        except (OSError, subprocess.CalledProcessError) as error:
            _say(f"{name} could not be installed ({error}); the tests that need it will fail")


@contextmanager
def _rewriting() -> Iterator[None]:
    """Meanwhile, pytest rewrites the asserts of all tests and keeps the outcome, which each worker would do by itself.

    What it has to say of them, the tests' own run says again.
    """
    collecting = [sys.executable, "-m", "pytest", "-q", "--collect-only"]
    with subprocess.Popen(collecting, cwd=bootstrap.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        yield


@_rewriting()
def _checks() -> int:
    failed = 0
    for tool, *arguments in CHECKS:
        _say(" ".join([tool, *arguments]))
        if code := _run([sys.executable, "-m", tool, *arguments]):
            _say(f"{tool} failed; the tests run all the same, and the exit code will be {code}")
            failed = failed or code
    return failed


def main() -> int:
    """Exit code: 0 all well; else pytest's, or that of the first linter that failed. pytest's closing line is last."""
    # A job in the background ignores Ctrl-C and hands that on: the tests interrupt programs as a person would.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    bootstrap.ensure("tests", ["dev"])
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each run rewrites the asserts of all tests once more
    _system_packages()
    _compile()
    _outside_programs()
    arguments = sys.argv[1:]
    chosen = any(Path(argument.partition("::")[0]).exists() for argument in arguments)
    checks = 0 if chosen else _checks()
    workers = [] if any(argument in ("-n", "--pdb") for argument in arguments) else ["-n", WORKERS]
    return _run([sys.executable, "-m", "pytest", "-q", *workers, *arguments]) or checks


if __name__ == "__main__":
    raise SystemExit(main())
