"""One settings struct: TOML file < environment (`DOORSTEP_*`) < flags. What is unknown is refused, with a hint."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct

PREFIX = "DOORSTEP_"
# Read by the command itself (which hub to talk to, where the file is), never part of a hub's settings.
RESERVED = frozenset(
    {"CONFIG", "HUB", "TOKEN", "TO_TOKEN", "PIN", "PASSPHRASE", "PASSWORD"}
    | {"WIFI_PASSWORD", "UPSTREAM_SECRET", "NO_BOOTSTRAP"}
)

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class SettingsError(ValueError):
    """A setting that cannot be used; the text names it, where it was set, and what would do."""

    code = "settings_invalid"
    retryable = False


class Limits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one peer may ask for before it is refused with 429 (or 413). On by default, and meant to stay on.

    Windows are in seconds, sizes in bytes. `tracked_peers` caps every table an unauthenticated packet can grow.
    """

    body_bytes: Count = 1 << 20
    requests_per_second: Count = 200
    request_burst: Count = 400
    anonymous_per_minute: Count = 120
    login_attempts_per_account: Count = 10
    login_attempts_per_address: Count = 30
    login_window: Seconds = 900.0
    connections: Count = 2000
    connections_per_address: Count = 500
    streams_per_session: Count = 8
    streams: Count = 1000
    mqtt_packet_bytes: Annotated[int, Meta(ge=1024, le=1 << 28)] = 1 << 20
    mqtt_window: Annotated[int, Meta(ge=1, le=65535)] = 64
    mqtt_messages_per_second: Count = 100
    mqtt_message_burst: Count = 1000
    mqtt_kept_messages: Count = 256
    mqtt_connections: Count = 5000
    mqtt_connections_per_address: Count = 1000
    tracked_peers: Count = 10_000


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a hub or a cloud node runs. Build it with `load`; tests may construct it directly.

    `host` follows `lan` when it is not set: a hub answers this machine only until it is told to serve the LAN, because
    listening on every interface should be somebody's decision. A port of 0 means "any free one".

    `bluetooth`: "auto" uses the machine's adapter where there is one and the hub was opened by `lan`; "on" uses it
    without `lan` as well, and takes its absence for a fault; "off" uses none; "virtual:PORT" is the virtual air at that
    port of this machine.

    `mqtt` off: no MQTT at all; where nothing is said, a hub has it and a cloud node does not. Devices connect at
    `mqtt_port` in the clear, at `mqtt_tls_port` (with `tls`), and where it is set at `mqtt_websocket_port`, with or
    without TLS as the hub itself. With `mqtt_broker` (`mqtt://host:port`, `mqtts://`) the hub listens on none of them
    and is that broker's client instead.
    """

    data: Path
    host: str = "127.0.0.1"
    port: Port = 8470
    link_port: Port = 8471
    mqtt: bool | None = None
    mqtt_port: Port = 1883
    mqtt_tls_port: Port = 8883
    mqtt_websocket_port: Port | None = None
    mqtt_broker: str | None = None
    mqtt_broker_username: str | None = None
    mqtt_broker_password: str | None = None
    mqtt_broker_ca: str | None = None
    lan: bool = False
    bluetooth: str = "auto"
    tls: bool = True
    tls_names: tuple[str, ...] = ()
    name: Annotated[str, Meta(min_length=1, max_length=64)] = "Doorstep"
    role: Literal["hub", "cloud"] = "hub"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    access_token_life: Seconds = 900.0
    shutdown_grace: Seconds = 10.0
    limits: Limits = msgspec.field(default_factory=Limits)


_PORT = re.compile(r"[0-9]{1,5}")
_FIELDS = get_type_hints(Settings, include_extras=True)
_LIMITS = get_type_hints(Limits, include_extras=True)


def virtual_port(bluetooth: str) -> int | None:
    """The port of a setting "virtual:PORT"; None of another."""
    kind, _, port = bluetooth.partition(":")
    return int(port) if kind == "virtual" and _PORT.fullmatch(port) and 0 < int(port) <= 65535 else None


def default_data(environ: Mapping[str, str]) -> Path:
    """Where a hub keeps its data when nobody says: `$XDG_DATA_HOME/doorstep`."""
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "doorstep"


def default_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Settings files looked for when none is named, the first that exists is read (alone)."""
    mine = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return mine / "doorstep" / "doorstep.toml", Path("/etc/doorstep/doorstep.toml")


def load(
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """The settings of this process. `flags` that are None count as not given. Raises `SettingsError`."""
    environ = os.environ if environ is None else environ
    chosen: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for name, raw, source in _layers(flags or {}, environ, file):
        group, _, key = name.partition(".")
        if group == "limits" and key:
            limits[key] = _value(_LIMITS, key, raw, source)
        else:
            chosen[name] = _value(_FIELDS, name, raw, source)
    chosen.setdefault("data", default_data(environ))
    chosen["data"] = chosen["data"].expanduser().resolve()
    if chosen.get("lan"):
        chosen.setdefault("host", "0.0.0.0")  # noqa: S104 - `lan` is the decision to be reachable
    return Settings(**chosen, limits=Limits(**limits))


def _layers(
    flags: Mapping[str, object], environ: Mapping[str, str], file: Path | None
) -> Iterator[tuple[str, object, str]]:
    """Every value given, weakest source first, as (dotted name, raw value, where it was set)."""
    yield from _from_file(_file(environ, file))
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        if name != variable and name not in RESERVED:
            yield name.lower().replace("__", "."), environ[variable], f"environment variable {variable}"
    for name, raw in flags.items():
        if raw is not None:
            yield name, raw, f"flag --{name.replace('_', '-')}"


def _file(environ: Mapping[str, str], file: Path | None) -> Path | None:
    named = file or (Path(environ[PREFIX + "CONFIG"]) if environ.get(PREFIX + "CONFIG") else None)
    return named or next((path for path in default_files(environ) if path.is_file()), None)


def _from_file(path: Path | None) -> Iterator[tuple[str, object, str]]:
    if path is None:
        return
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    for name, raw in content.items():
        if name == "limits" and isinstance(raw, dict):
            yield from ((f"limits.{key}", value, f"{path}") for key, value in raw.items())
        else:
            yield name, raw, f"{path}"


def _value(fields: Mapping[str, Any], name: str, raw: object, source: str) -> object:
    if name not in fields or name == "limits":
        near = get_close_matches(name, fields, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(set(fields) - {'limits'}))}"
        raise SettingsError(f"{source}: there is no setting {name!r}; {hint}")
    if name == "tls_names" and isinstance(raw, str):
        raw = [part.strip() for part in raw.split(",") if part.strip()]
    if fields[name] is Path and isinstance(raw, str):
        return Path(raw)
    if fields[name] is Path and isinstance(raw, Path):
        return raw
    if name == "bluetooth" and raw not in ("off", "auto", "on") and virtual_port(str(raw)) is None:
        raise SettingsError(f"{source}: bluetooth cannot be {raw!r}: it is off, auto, on, or virtual:PORT")
    try:
        return msgspec.convert(raw, fields[name], strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{source}: {name} cannot be {raw!r}: {error}") from error
