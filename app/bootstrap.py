"""Makes `python3 -m app` and `python3 -m tests` work in a clone on a machine that has nothing but Python.

Standard library only, and written so that an old Python can still read it and be told that it is too old.
An installed Doorstep (no `uv.lock` beside the package) is left alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
STAMP = ".doorstep-ready"
OPT_OUT = "DOORSTEP_NO_BOOTSTRAP"
EXIT_SETUP = 70  # EX_SOFTWARE would say "our fault"; documented with the command's other exit codes


class SetupError(Exception):
    """The machine cannot be made ready; the text says why and what would help."""


def ensure(module: str, groups: Sequence[str] = ()) -> None:
    """Return when `module` can run here with the dependency `groups`; else set up `.venv` and start over inside it.

    Exits with `EXIT_SETUP` and the cause in plain words when that is impossible.
    """
    if os.environ.get(OPT_OUT) or not (ROOT / "uv.lock").is_file():
        return
    try:
        _require_python(module)
        venv = _place()
        inside = Path(sys.prefix).resolve() == venv.resolve()
        if _stamped(venv, groups) if inside and (venv / STAMP).exists() else _installed(groups):
            return
        if inside or not _stamped(venv, groups):
            with _alone(venv):
                if not _stamped(venv, groups):
                    _make(venv, groups)
    except SetupError as error:
        sys.stderr.write(f"doorstep: {error}\n")
        raise SystemExit(EXIT_SETUP) from None
    _start_over(venv)


def _require_python(module: str) -> None:
    if sys.version_info >= OLDEST:
        return
    newer = [name for name in ("python3.14", "python3.13", "python3.12", "python3.11") if shutil.which(name)]
    way_out = (
        f"This machine has {newer[0]}: run `{' '.join([newer[0], '-m', module, *sys.argv[1:]])}`."
        if newer
        else "Install a newer Python (on Debian 12, Ubuntu 24.04 and later: apt-get install python3), then try again."
    )
    raise SetupError(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, this is {sys.version.split()[0]}. {way_out}")


def _place() -> Path:
    """`.venv` in the clone; a folder in the user's cache where the clone cannot be written to."""
    if (ROOT / ".venv").exists() or os.access(ROOT, os.W_OK):
        return ROOT / ".venv"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "doorstep" / ("venv-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:12])


def _lock_hash() -> str:
    return hashlib.sha256((ROOT / "uv.lock").read_bytes()).hexdigest()


def _stamp(venv: Path) -> dict[str, list[str]]:
    """What was installed into `venv` from which lock: {hash of uv.lock: groups}."""
    try:
        content = json.loads((venv / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _stamped(venv: Path, groups: Sequence[str]) -> bool:
    done = _stamp(venv).get(_lock_hash())
    return done is not None and set(groups) <= set(done) and os.access(venv / "bin" / "python", os.X_OK)


def _installed(groups: Sequence[str]) -> bool:
    """Whether the running interpreter has every direct dependency already (a developer's own environment)."""
    # Both are new in or slow to import for no use on the stamped way, and an old Python must get as far as its refusal.
    import tomllib  # noqa: PLC0415
    from importlib import metadata  # noqa: PLC0415

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = list(project["project"]["dependencies"])
    for group in groups:
        wanted += _group(project["dependency-groups"], group)
    names = (re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in wanted)
    try:
        return all(metadata.distribution(name) for name in names)
    except metadata.PackageNotFoundError:
        return False


def _group(groups: dict[str, list[str | dict[str, str]]], name: str) -> Iterator[str]:
    for entry in groups[name]:
        if isinstance(entry, dict):
            yield from _group(groups, entry["include-group"])
        else:
            yield entry


@contextmanager
def _alone(venv: Path) -> Iterator[None]:
    """Two that start at once set up one after the other; the second finds everything done."""
    import fcntl  # noqa: PLC0415 - POSIX only, and only needed here

    venv.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(venv.parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another start is setting this clone up; waiting for it")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _say(text: str) -> None:
    sys.stderr.write(f"doorstep: {text}\n")
    sys.stderr.flush()


def _make(venv: Path, groups: Sequence[str]) -> None:
    started = time.monotonic()
    _say(f"setting up {venv} (once; again only when uv.lock changes)")
    everything = sorted({*groups, *(name for names in _stamp(venv).values() for name in names)})
    (venv / STAMP).unlink(missing_ok=True)
    uv = _uv_on_path()
    _make_venv(venv, uv)
    if not (uv and _sync(uv, venv, everything)):
        own = _own_uv(venv)
        if not own.exists() or (not _sync(own, venv, everything) and not _pip(own, venv, everything)):
            raise SetupError(
                "the dependencies could not be installed; the reason stands above. Most often there is no way to "
                "https://pypi.org: connect to the internet for this first start, or set HTTPS_PROXY (a proxy) or "
                "UV_INDEX_URL / PIP_INDEX_URL (a mirror), and run the same command again. It goes on where it stopped."
            )
    (venv / STAMP).write_text(json.dumps({_lock_hash(): everything}))
    _say(f"ready after {time.monotonic() - started:.0f} s")


def _run(argv: Sequence[str | Path], extra: dict[str, str] | None = None, *, quiet: bool = False) -> bool:
    environ = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONHOME")}
    output = subprocess.DEVNULL if quiet else sys.stderr
    try:
        done = subprocess.run(  # noqa: S603 - argv is ours, no shell
            [str(part) for part in argv],
            cwd=ROOT,
            env={**environ, **(extra or {})},
            stdout=output,
            stderr=output,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def _uv_on_path() -> str | None:
    found = shutil.which("uv")
    return found if found and _run([found, "--version"], quiet=True) else None


def _make_venv(venv: Path, uv: str | None) -> None:
    """A virtual environment of this very interpreter; one that is broken or of another Python is made anew."""
    python = venv / "bin" / "python"
    same = f"import sys; sys.exit(sys.version_info[:2] < {OLDEST})"
    if python.exists() and _run([python, "-c", same], quiet=True):
        return
    if uv and _run([uv, "venv", "-q", "--clear", "--seed", "--python", sys.executable, venv]):
        return
    if not _run([sys.executable, "-c", "import ensurepip, venv"], quiet=True):
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        raise SetupError(
            f"this Python comes without `venv` and `ensurepip`. On Debian and Ubuntu they are a package of their own: "
            f"apt-get install {version}-venv (as root), then run the same command again."
        )
    if not _run([sys.executable, "-m", "venv", "--clear", venv]):
        raise SetupError(f"a virtual environment could not be made at {venv}; the reason stands above.")


def _own_uv(venv: Path) -> Path:
    """uv inside the environment, fetched with pip (which knows the machine's own indexes and proxies)."""
    uv = venv / "bin" / "uv"
    if not uv.exists():
        _say("fetching uv, which installs exactly what uv.lock names")
        _run([venv / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "uv"])
    return uv


def _choice(groups: Sequence[str]) -> list[str]:
    return ["--frozen", "--no-default-groups", *(part for name in groups for part in ("--group", name))]


def _sync(uv: str | Path, venv: Path, groups: Sequence[str]) -> bool:
    _say("installing the locked dependencies")
    # Compiled once, here: where Python may not write beside what it reads, every start would do it again, for seconds.
    argv = [uv, "sync", "--no-install-project", "--inexact", "--compile-bytecode", "--no-progress", "-q"]
    argv += _choice(groups)
    python = venv / "bin" / "python"
    # The machine's own certificates (both names: newer and older uv): many networks put their own authority there.
    certificates = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    return _run([*argv, "--python", python], {"UV_PROJECT_ENVIRONMENT": str(venv), **certificates})


def _pip(uv: Path, venv: Path, groups: Sequence[str]) -> bool:
    """The same lock through pip, for a machine whose mirror is configured for pip alone."""
    locked = venv / "locked.txt"
    _say("trying once more with pip and its own configuration")
    if not _run([uv, "export", "-q", "--no-emit-project", "-o", locked, *_choice(groups)]):
        return False
    return _run(
        [
            venv / "bin" / "python",
            "-m",
            "pip",
            "install",
            "-q",
            "--use-pep517",
            "--no-deps",
            "--require-hashes",
            "-r",
            locked,
        ]
    )


def _start_over(venv: Path) -> None:
    """Replace this process by the same command inside `venv`; children find the clone from any folder."""
    python = str(venv / "bin" / "python")
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
    sys.stdout.flush()
    os.execve(python, [python, *sys.orig_argv[1:]], environ)  # noqa: S606 - the point
