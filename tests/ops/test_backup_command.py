"""`backup` and `restore` as a person types them, with no hub running."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import cli
from app.commands.exits import Exit
from app.store.prepare import open_store


async def make_hub(folder: Path) -> None:
    await (await open_store(folder)).close()


def invoke(*arguments: str, passphrase: str = "correct horse battery") -> Result:
    return CliRunner().invoke(cli, arguments, env={"DOORSTEP_PASSPHRASE": passphrase})


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    """A hub's folder and a backup of it."""
    folder, file = tmp_path / "hub", tmp_path / "hub.backup"
    asyncio.run(make_hub(folder))
    assert invoke("backup", str(file), "--data", str(folder)).exit_code == Exit.OK
    return folder, file


def test_there_and_back(made: tuple[Path, Path], tmp_path: Path) -> None:
    _, file = made
    shown = invoke("restore", str(file), "--data", str(tmp_path / "new"), "--json")
    assert shown.exit_code == Exit.OK
    assert json.loads(shown.stdout)["incarnation"] == 2
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_there_is_never_overwritten(made: tuple[Path, Path]) -> None:
    folder, file = made
    before = file.read_bytes()
    assert invoke("backup", str(file), "--data", str(folder)).exit_code == Exit.CONFLICT
    assert invoke("restore", str(file), "--data", str(folder)).exit_code == Exit.CONFLICT
    assert file.read_bytes() == before
    forced = invoke("restore", str(file), "--data", str(folder), "--force", "--json")
    assert Path(json.loads(forced.stdout)["aside"]).is_dir()


def test_each_refusal_has_its_own_code(made: tuple[Path, Path], tmp_path: Path) -> None:
    _, file = made
    wrong = invoke("restore", str(file), "--data", str(tmp_path / "x"), passphrase="something else")
    assert wrong.exit_code == Exit.REFUSED
    file.write_bytes(file.read_bytes()[:-40])
    cut = invoke("restore", str(file), "--data", str(tmp_path / "x"))
    assert cut.exit_code == Exit.UNSOUND
    none = invoke("backup", str(tmp_path / "b"), "--data", str(tmp_path / "nothing"))
    assert none.exit_code == Exit.NOT_FOUND
    assert not (tmp_path / "nothing").exists()


def test_a_weak_passphrase_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    folder, _ = made
    assert invoke("backup", str(tmp_path / "b"), "--data", str(folder), passphrase="short").exit_code == Exit.USAGE


def test_another_users_folder_is_left_alone(made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, file = made
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    before = sorted(folder.iterdir())
    for arguments in (["backup", f"{file}2"], ["restore", str(file), "--force"], ["doctor", "salvage"]):
        refused = invoke(*arguments, "--data", str(folder), "--json")
        assert json.loads(refused.stdout)["error"]["code"] == "not_the_hubs_user"
        assert refused.exit_code == Exit.REFUSED
    assert sorted(folder.iterdir()) == before
