"""`doorstep doctor`: is this machine, and the hub on it, well; and the systemd unit that runs one."""

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography import x509

from app import admin_client, systemd
from app.client import Client
from app.clock import machine_clock_is_set
from app.commands import doctor_bluetooth, doctor_cloud
from app.commands.doctor_lan import lan
from app.commands.failures import told
from app.commands.findings import MARK, Finding, show
from app.commands.reach import api_verb, data_folder, data_option, own_folder
from app.commands.terminal import answer, json_option, plain
from app.store.folder import FILE_MODE, TLS_CERTIFICATE, TLS_KEY, VAULT_KEY
from app.store.salvage import salvage
from app.version import version

LOW_DISK_BYTES = 200 << 20


@click.group(invoke_without_command=True)
@data_option
@json_option
@click.pass_context
def doctor(context: click.Context, data: Path | None) -> None:
    """Check this machine and the hub on it; `doctor lan` its network; `doctor systemd` prints a unit."""
    if context.invoked_subcommand is not None:
        return
    with told():
        findings = list(examine(data_folder(data)))
    show(context, findings)


doctor.add_command(lan)


@doctor.command("systemd")
@click.option("--lan", is_flag=True, help="Serve the network, not only this machine.")
def systemd_(lan: bool) -> None:
    """Print a hardened systemd unit that runs a hub."""
    click.echo(systemd.unit(_own_command(), lan=lan), nl=False)


@doctor.command("salvage")
@data_option
@json_option
def salvage_(data: Path | None) -> None:
    """Without a backup: save what can be read of a damaged database; the damaged files are kept."""
    with told():
        saved = salvage(own_folder(data_folder(data)))
    lost = f"; rows are missing from {', '.join(saved.incomplete)}" if saved.incomplete else ""
    answer(
        {"rows": saved.rows, "incomplete": saved.incomplete, "aside": str(saved.aside)},
        f"{MARK['ok']} saved {sum(saved.rows.values())} rows{lost}",
        f"  the damaged files are in {plain(str(saved.aside))}",
    )


@doctor.command("set-clock")
@api_verb
async def set_clock(api: Client) -> None:
    """Vouch for this machine's clock, where no NTP does: the hub trusts it from now on."""
    told_time = await api.put("/api/hub/clock", {"time": datetime.now(UTC).isoformat()})
    answer(told_time, f"[green]✓[/] the hub goes by {told_time['time']}")


def examine(data: Path) -> Iterator[Finding]:
    """Everything looked at, in the order a person would."""
    yield Finding("Doorstep", "ok", f"{version()} on Python {sys.version.split()[0]}")
    yield _clock()
    yield _multicast()
    if not data.exists():
        yield doctor_bluetooth.of_machine()
        yield Finding("data folder", "note", f"{data} does not exist yet", "`doorstep serve` makes it")
        return
    yield from _folder(data)
    yield _certificate(data)
    yield from _hub(data)


def _clock() -> Finding:
    if machine_clock_is_set():
        return Finding("clock", "ok", "set by the network")
    text = "no NTP has set it: access that ends at a time is refused until somebody vouches for it"
    return Finding(
        "clock", "note", text, "enable NTP; or, if it is right: doorstep doctor set-clock; or the owner's app"
    )


def _multicast() -> Finding:
    """Pairing hears devices on UDP 5353; a second responder there is fine, a refusal is not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            probe.bind(("", 5353))
            group = socket.inet_aton("224.0.0.251") + socket.inet_aton("127.0.0.1")
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        except OSError as error:
            why = f"UDP 5353 cannot be used: {error.strerror}"
            return Finding(
                "mDNS", "bad", why, "another program may hold it alone; devices cannot be found until it stops"
            )
    return Finding("mDNS", "ok", "UDP 5353 can be shared")


def _folder(data: Path) -> Iterator[Finding]:
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield Finding("data folder", "bad", f"{data} is not this user's", "run this as the hub's user")
        return
    loose = [
        path.name
        for path in (data / VAULT_KEY, data / TLS_KEY)
        if path.exists() and path.stat().st_mode & 0o777 & ~FILE_MODE
    ]
    if loose or data.stat().st_mode & 0o077:
        names = ", ".join(loose) or "the folder"
        yield Finding("data folder", "bad", f"others can read {names}", f"chmod -R go-rwx {data}")
    else:
        yield Finding("data folder", "ok", str(data))
    free = shutil.disk_usage(data).free
    state = "ok" if free > LOW_DISK_BYTES else "bad"
    yield Finding(
        "disk", state, f"{free >> 20} MiB free", "" if state == "ok" else "make room: a full disk refuses writes"
    )


def _certificate(data: Path) -> Finding:
    file = data / TLS_CERTIFICATE
    if not file.exists():
        return Finding("certificate", "note", "none yet", "made at the first start with TLS")
    try:
        ends = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    except ValueError:
        return Finding("certificate", "note", "damaged", "it is made anew around the same key at the next start")
    state = "ok" if ends > datetime.now(UTC) else "note"
    return Finding(
        "certificate", state, f"good until {ends.date()}", "" if state == "ok" else "renewed at the next start"
    )


def _hub(data: Path) -> Iterator[Finding]:
    try:
        status = admin_client.call(data, "status", timeout=10)
    except admin_client.NoHub:
        yield doctor_bluetooth.of_machine()
        yield Finding("hub", "note", "not running", f"doorstep serve --data {data}")
        return
    yield doctor_bluetooth.of_hub(status["bluetooth"])
    if status["cloud"] is not None:
        yield doctor_cloud.of_hub(status["cloud"])
    clock = "" if status["time_trusted"] else ", its clock is not trusted"
    owned = "owned" if status["claimed"] else "waiting for its owner (doorstep account claim LOGIN)"
    yield Finding("hub", "ok", f"{status['name']} runs at {status['url']}, version {status['version']}, {owned}{clock}")


def _own_command() -> str:
    """What starts this very Doorstep: the installed command, or this interpreter on this clone."""
    installed = Path(sys.prefix) / "bin" / "doorstep"
    if installed.exists():
        return str(installed)
    return f"/usr/bin/env PYTHONPATH={Path(__file__).resolve().parents[2]} {sys.executable} -m app"
