"""`doorstep serve`: run a hub in the foreground until SIGTERM or Ctrl-C."""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import segno

from app import logs, serving, systemd
from app.admin import Admin
from app.admin_verbs import AdminVerbs
from app.commands.failures import told
from app.commands.reach import data_option
from app.commands.terminal import answer, json_option, out, plain, wants_json
from app.node import Node
from app.radio import told_state
from app.serving import Endpoint, Serving
from app.settings import Settings, load
from app.version import version


@click.command()
@data_option
@click.option("--host", help="Address to listen on: 127.0.0.1, or with --lan all of them.  [env: DOORSTEP_HOST]")
@click.option("--port", type=int, help="Port; 0 picks a free one.  [env: DOORSTEP_PORT]")
@click.option("--link-port", type=int, help="Port for paired devices; 0 picks a free one.  [env: DOORSTEP_LINK_PORT]")
@click.option("--mqtt/--no-mqtt", default=None, help="Let devices connect by MQTT (a hub: default), or not (a cloud).")
@click.option("--mqtt-port", type=int, help="Port for MQTT; 0 picks a free one.  [env: DOORSTEP_MQTT_PORT]")
@click.option("--mqtt-tls-port", type=int, help="Port for MQTT over TLS.  [env: DOORSTEP_MQTT_TLS_PORT]")
@click.option("--mqtt-broker", help="Be a client of this broker instead: mqtt://host:port or mqtts://host:port.")
@click.option("--lan/--no-lan", default=None, help="Serve and search the network, not only this machine.")
@click.option(
    "--bluetooth",
    metavar="off|auto|on|virtual:PORT",
    help="The machine's Bluetooth: with --lan where there is any (auto), always (on), never; or a virtual one.",
)
@click.option("--tls/--no-tls", default=None, help="A certificate of its own (default), or plain HTTP to develop with.")
@click.option("--name", help="What the hub is called.")
@click.option("--role", type=click.Choice(["hub", "cloud"]), help="A hub (default), or a cloud node without radios.")
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings file.  [env: DOORSTEP_CONFIG]"
)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--log-format", type=click.Choice(["auto", "console", "json"]))
@json_option
def serve(config: Path | None, **flags: Any) -> None:
    """Run a hub until it is told to stop.

    Prints where it is reached, what to pin and, until somebody owns it, the claim code.
    """
    with told():
        settings = load(flags, file=config)
        logs.configure(settings.log_level, settings.log_format)
        serving.run(lambda: _until_stopped(settings))


async def _until_stopped(settings: Settings) -> None:
    stop = asyncio.create_task(serving.stop_requested())
    async with AsyncExitStack() as closing:
        closing.callback(stop.cancel)
        node, door, admin = Node(settings), Serving(settings), Admin(settings.data)
        await node.start()
        closing.push_async_callback(node.stop)
        endpoint = await door.open(node.asgi, node.short)
        node.services.iotda.address.known(endpoint.url)
        node.services.enrolment.cloud_end.known(
            _outside(settings, endpoint), None if endpoint.certificate is None else endpoint.certificate.pin
        )
        closing.push_async_callback(door.close)
        closing.callback(node.end_streams)
        AdminVerbs(node, endpoint).register(admin)
        await admin.start()
        closing.push_async_callback(admin.stop)
        _announce(settings, node, endpoint)
        node.services.hub.on_claim_code.append(_show_code)
        systemd.notify("READY=1")
        await stop


def _outside(settings: Settings, endpoint: Endpoint) -> str:
    """Where the node is reached from another network: by the first name it was given, if any."""
    if not settings.tls_names:
        return endpoint.url
    name = settings.tls_names[0]
    return f"{endpoint.url.partition('://')[0]}://{f'[{name}]' if ':' in name else name}:{endpoint.port}"


def _announce(settings: Settings, node: Node, endpoint: Endpoint) -> None:
    hub, certificate = node.services.hub, endpoint.certificate
    facts = {
        "event": "ready",
        "version": version(),
        "hub": hub.view().id,
        "url": endpoint.url,
        "port": endpoint.port,
        "link_port": node.link_port,
        "mqtt_ports": {} if node.mqtt is None else node.mqtt.ports,
        "bluetooth": told_state(node.radio, settings),
        "pin": certificate.pin if certificate else None,
        "fingerprint": certificate.fingerprint if certificate else None,
        "claim_code": hub.claim_code,
        "data": str(settings.data),
        "pid": os.getpid(),
    }
    answer(facts, *_lines(facts, hub.view().name))
    if hub.claim_code and out().is_terminal and not wants_json():
        query = urlencode({"url": endpoint.url, "pin": facts["pin"] or "", "code": hub.claim_code})
        segno.make(f"doorstep:claim?{query}", micro=False).terminal(compact=True)


def _lines(facts: dict[str, Any], name: str) -> list[str]:
    lines = [f"[bold]{plain(name)}[/] [dim]is up: version {facts['version']}, data in {plain(facts['data'])}[/]"]
    lines.append(f"  reached at   [bold]{facts['url']}[/]")
    if facts["pin"]:
        lines.append(f"  pin          sha256/{facts['pin']}")
        lines.append(f"  fingerprint  {facts['fingerprint']}")
    else:
        lines.append("  [yellow]without TLS: anybody on the way can read along[/]")
    if facts["mqtt_ports"]:
        ports = ", ".join(f"{port} ({face})" for face, port in facts["mqtt_ports"].items())
        lines.append(f"  MQTT port    {ports}")
    bluetooth = facts["bluetooth"]
    if bluetooth["usable"] or bluetooth["missed"]:
        lines.append(f"  Bluetooth    {plain(bluetooth['sentence'] or 'in use')}")
    if facts["claim_code"]:
        lines.append(f"  claim code   [bold green]{facts['claim_code']}[/]  [dim](the first owner types it)[/]")
    return lines


def _show_code(code: str) -> None:
    answer(
        {"event": "claim_code", "claim_code": code},
        f"  claim code   [bold green]{code}[/]  [dim](the old one ended)[/]",
    )
