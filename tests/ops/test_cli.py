"""The command's frame: every verb loads, failures have a cause, a next step and an exit code, `--json` is JSON."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from app.admin_client import AdminRefused
from app.cli import VERBS, cli
from app.client import ApiError, HubUnreachable
from app.commands.exits import MEANING, Exit
from app.commands.failures import exit_of, told
from app.commands.terminal import CommandError, plain, table
from app.errors import DoorstepError, catalogue


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("DOORSTEP_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return CliRunner()


def invoke(run: CliRunner, *arguments: str) -> Result:
    return run.invoke(cli, arguments)


def test_every_verb_loads_and_says_what_it_does(run: CliRunner) -> None:
    shown = invoke(run, "--help").output
    assert [verb for verb in VERBS if f"\n  {verb} " not in shown] == []
    assert [int(code) for code in Exit if f"\n  {int(code)} " not in shown] == []
    assert set(MEANING) == set(Exit)


def leaves(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from leaves(inner, *path, name)
    else:
        yield path, command


PRINTS_A_FILE = {("doctor", "systemd")}


def test_every_verb_takes_json_and_has_help() -> None:
    for path, command in leaves(cli):
        names = {option for parameter in command.params for option in parameter.opts}
        assert "--json" in names or path in PRINTS_A_FILE, path
        assert command.help, path


def test_an_unknown_verb_is_a_usage_error(run: CliRunner) -> None:
    assert invoke(run, "pear").exit_code == Exit.USAGE


def test_no_hub_is_told_with_the_next_step(run: CliRunner) -> None:
    shown = invoke(run, "home", "list")
    assert shown.exit_code == Exit.UNREACHABLE
    assert "No hub runs on" in shown.stderr
    assert "doorstep serve" in shown.stderr


def test_with_json_a_failure_is_one_line_of_it(run: CliRunner) -> None:
    shown = invoke(run, "home", "list", "--json")
    assert shown.exit_code == Exit.UNREACHABLE
    assert json.loads(shown.stdout)["error"]["code"] == "hub_not_running"


def test_a_bad_setting_is_a_usage_error(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORSTEP_PROT", "1")
    shown = invoke(run, "doctor")
    assert shown.exit_code == Exit.USAGE
    assert "did you mean 'port'?" in shown.stderr


def test_the_doctor_finds_a_folder_others_can_read(run: CliRunner, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    shown = invoke(run, "doctor", "--json")
    assert shown.exit_code == Exit.UNSOUND
    states = {finding["what"]: finding["state"] for finding in json.loads(shown.stdout)["findings"]}
    assert states["data folder"] == "bad"
    tmp_path.chmod(0o700)
    assert invoke(run, "doctor").exit_code == Exit.OK


def test_the_unit_is_hardened_and_starts_this_doorstep(run: CliRunner) -> None:
    unit = invoke(run, "doctor", "systemd", "--lan").output
    for line in ("Type=notify", "DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "UMask=0077"):
        assert line in unit
    (start,) = (line for line in unit.splitlines() if line.startswith("ExecStart="))
    assert start.startswith("ExecStart=/")
    assert start.endswith("serve --data %S/doorstep --lan")


@pytest.mark.parametrize("kind", list(catalogue()), ids=lambda kind: kind.code)
def test_every_error_has_an_exit_code_that_is_a_failure(kind: type[DoorstepError]) -> None:
    made = {ApiError: ApiError(403, {}), AdminRefused: AdminRefused("x", "y", "z", ("conflict",))}
    error = made.get(kind) or kind.__new__(kind)
    assert exit_of(error) in set(Exit) - {Exit.OK, Exit.INTERRUPTED}


@pytest.mark.parametrize(
    ("error", "code"),
    [(ApiError(404, {"detail": "x"}), Exit.NOT_FOUND), (ApiError(500, {}), Exit.FAILED), (HubUnreachable(), 5)],
)
def test_errors_become_command_errors(error: DoorstepError, code: Exit) -> None:
    with pytest.raises(CommandError) as ended, told():
        raise error
    assert ended.value.exit_code == code


def test_foreign_text_cannot_draw(capsys: pytest.CaptureFixture[str]) -> None:
    assert plain("[red]x[/]\x1b[2J") == "\\[red]x\\[/] \\[2J"
    table([{"name": "[bold]\x1b]0;own\x07"}], ["name"], empty="none")
    shown = capsys.readouterr().out
    assert "[bold]" in shown
    assert "\x1b" not in shown
