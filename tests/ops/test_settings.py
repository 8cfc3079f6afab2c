"""Settings: which source wins, and what is refused with which words."""

from pathlib import Path

import pytest

from app.settings import Settings, SettingsError, load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "doorstep.toml"
    path.write_text('port = 1000\nlog_level = "warning"\nname = "Attic"\n[limits]\nbody_bytes = 5\n')
    return path


def test_flags_beat_environment_beats_file(file: Path) -> None:
    environ = {"DOORSTEP_PORT": "2000", "DOORSTEP_LOG_LEVEL": "error", "HOME": "/nowhere"}
    settings = load({"port": 3000, "host": None}, environ=environ, file=file)
    assert (settings.port, settings.log_level, settings.name) == (3000, "error", "Attic")
    assert settings.limits.body_bytes == 5


def test_defaults_stay_on_this_machine_and_under_tls(tmp_path: Path) -> None:
    settings = load(environ={"XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)})
    assert settings == Settings(data=tmp_path / "doorstep")
    assert (settings.host, settings.tls, settings.lan) == ("127.0.0.1", True, False)


def test_lan_opens_the_host_unless_one_is_named(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "DOORSTEP_LAN": "true"}
    assert load(environ=environ).host == "0.0.0.0"
    assert load({"host": "192.168.1.5"}, environ=environ).host == "192.168.1.5"


def test_environment_reaches_limits_and_lists(tmp_path: Path) -> None:
    environ = {
        "XDG_CONFIG_HOME": str(tmp_path),
        "DOORSTEP_LIMITS__LOGIN_WINDOW": "60",
        "DOORSTEP_TLS_NAMES": "hub.lan, 10.0.0.2",
        "DOORSTEP_TOKEN": "the command's own, not a setting",
    }
    settings = load(environ=environ)
    assert settings.limits.login_window == 60.0
    assert settings.tls_names == ("hub.lan", "10.0.0.2")


@pytest.mark.parametrize(
    ("flags", "environ", "words"),
    [
        ({"prot": 1}, {}, ["--prot", "did you mean 'port'?"]),
        ({}, {"DOORSTEP_PORT": "abc"}, ["DOORSTEP_PORT", "port cannot be 'abc'"]),
        ({}, {"DOORSTEP_PORT": "70000"}, ["DOORSTEP_PORT", "65535"]),
        ({"bluetooth": "yes"}, {}, ["--bluetooth", "'yes'", "off, auto, on, or virtual:PORT"]),
        ({}, {"DOORSTEP_BLUETOOTH": "virtual:70000"}, ["DOORSTEP_BLUETOOTH", "virtual:PORT"]),
        ({"role": "king"}, {}, ["--role", "king"]),
        ({}, {"DOORSTEP_LIMITS__BODY_BITES": "3"}, ["body_bites", "did you mean 'body_bytes'?"]),
        ({}, {"DOORSTEP_LIMITS": "3"}, ["no setting 'limits'"]),
        ({"zzz": 1}, {}, ["no setting 'zzz'", "known are"]),
    ],
)
def test_refusals_name_the_source_and_the_way_out(
    tmp_path: Path, flags: dict[str, object], environ: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(flags, environ={"XDG_CONFIG_HOME": str(tmp_path), **environ})
    assert [word for word in words if word not in str(refused.value)] == []


@pytest.mark.parametrize(
    ("text", "word"), [("port = ", "not valid TOML"), ("colour = 1", "colour"), (None, "cannot be read")]
)
def test_a_bad_file_is_named(tmp_path: Path, text: str | None, word: str) -> None:
    path = tmp_path / "x.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match=word) as refused:
        load(environ={}, file=path)
    assert str(path) in str(refused.value)


def test_relative_data_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({"data": "x"}, environ={"XDG_CONFIG_HOME": str(tmp_path)}).data == tmp_path / "x"


def test_a_setting_that_nothing_follows_is_refused() -> None:
    with pytest.raises(SettingsError, match="there is no setting 'upstream'"):
        load({"upstream": "https://cloud.example"}, environ={})
