"""Where the command line takes a Wi-Fi password from: a file, the environment, or fingers nobody sees type."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from app.commands.terminal import json_option
from app.commands.wifi import PASSWORD, wifi_password

SECRET = " correct horse: battery "


@click.command()
@click.option("--file", type=click.Path(path_type=Path))
@json_option
def ask(file: Path | None) -> None:
    click.echo(f"<{wifi_password(file, 'Lindenweg')}>")


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)


def asked(*arguments: str, typed: str | None = None, **environ: str) -> Result:
    return CliRunner().invoke(ask, arguments, input=typed, env=environ)


def test_it_is_typed_unseen() -> None:
    result = asked(typed=f"{SECRET}\n")
    assert result.stdout == f"<{SECRET}>\n"
    assert SECRET not in result.stderr
    assert "Lindenweg" in result.stderr


def test_nothing_typed_is_an_open_network() -> None:
    assert asked(typed="\n").stdout == "<>\n"


def test_it_is_what_the_variable_says_even_when_that_is_nothing() -> None:
    assert asked(**{PASSWORD: SECRET}).stdout == f"<{SECRET}>\n"
    assert asked(**{PASSWORD: ""}).stdout == "<>\n"


def test_it_is_what_the_file_says_but_for_the_end_of_the_line(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\r\n")
    assert asked("--file", str(file), **{PASSWORD: "another"}).stdout == f"<{SECRET}>\n"


def test_a_script_is_not_asked() -> None:
    result = asked("--json", typed="never read\n")
    assert result.exit_code == 2
