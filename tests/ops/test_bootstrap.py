"""The first start: when it sets up, when it leaves things alone, and what it says when it cannot."""

import ast
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from app import bootstrap


class Started(BaseException):
    """Stands for the process being replaced."""


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with a lock nobody has installed yet; starting over is recorded instead of done."""
    (tmp_path / "uv.lock").write_text("version = 1")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["no-such-thing>=1"]\n[dependency-groups]\ndev = [{include-group = "test"}]\n'
        'test = ["pytest"]\n'
    )
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.delenv(bootstrap.OPT_OUT, raising=False)

    def replaced(*_: object) -> None:
        raise Started

    monkeypatch.setattr(os, "execve", replaced)
    return tmp_path


def make(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Let setting up only write its stamp, and tell which groups it was asked for."""
    asked: list[tuple[str, ...]] = []

    def made(venv: Path, groups: Sequence[str]) -> None:
        asked.append(tuple(groups))
        (venv / "bin").mkdir(parents=True, exist_ok=True)
        (venv / "bin" / "python").touch(mode=0o755)
        (venv / bootstrap.STAMP).write_text(json.dumps({bootstrap._lock_hash(): sorted(groups)}))

    monkeypatch.setattr(bootstrap, "_make", made)
    return asked


def test_sets_up_once_then_only_starts_over(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = make(monkeypatch)
    for _ in range(3):
        with pytest.raises(Started):
            bootstrap.ensure("app")
    assert asked == [()]


def test_a_new_lock_or_a_new_group_sets_up_again(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = make(monkeypatch)
    for groups in ((), ("dev",), ()):
        with pytest.raises(Started):
            bootstrap.ensure("tests", groups)
    (clone / "uv.lock").write_text("version = 2")
    with pytest.raises(Started):
        bootstrap.ensure("app")
    assert asked == [(), ("dev",), ()]


def test_an_environment_that_has_everything_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = make(monkeypatch)
    monkeypatch.delenv(bootstrap.OPT_OUT, raising=False)
    assert bootstrap._installed(("dev",))
    bootstrap.ensure("tests", ("dev",))
    assert asked == []


def test_an_installed_doorstep_or_an_opt_out_is_left_alone(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(bootstrap.OPT_OUT, "1")
    bootstrap.ensure("app")
    monkeypatch.delenv(bootstrap.OPT_OUT)
    (clone / "uv.lock").unlink()
    bootstrap.ensure("app")
    assert not (clone / ".venv").exists()


def test_a_python_too_old_is_told_so(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "OLDEST", (99, 0))
    with pytest.raises(SystemExit) as ended:
        bootstrap.ensure("app")
    assert ended.value.code == bootstrap.EXIT_SETUP
    assert "99.0 or newer is needed" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["app/__init__.py", "app/__main__.py", "app/bootstrap.py", "tests/__init__.py"])
def test_an_old_python_can_read_as_far_as_the_refusal(name: str) -> None:
    ast.parse((bootstrap.ROOT / name).read_text(), feature_version=(3, 8))


def test_a_python_without_ensurepip_names_the_package(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_run", lambda *_, **__: False)
    with pytest.raises(bootstrap.SetupError, match=rf"python3\.{sys.version_info[1]}-venv"):
        bootstrap._make_venv(clone / ".venv", None)


def test_no_way_to_the_index_is_told_in_plain_words(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_run", lambda *_, **__: False)
    monkeypatch.setattr(bootstrap, "_make_venv", lambda *_: None)
    (clone / ".venv").mkdir()
    with pytest.raises(bootstrap.SetupError, match="no way to https"):
        bootstrap._make(clone / ".venv", ())
    assert not (clone / ".venv" / bootstrap.STAMP).exists()


def test_a_clone_that_cannot_be_written_uses_the_cache(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(clone / "cache"))
    assert bootstrap._place().parent == clone / "cache" / "doorstep"
