"""`doorstep device`: a virtual device, to pair without owning one."""

import asyncio
import secrets
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from app.commands.exits import Exit
from app.commands.setup_network import SetupNetwork, setup_network_options
from app.commands.terminal import CommandError, event, json_option, out, plain, wants_json
from app.commands.virtual_bluetooth import be_mesh_node, bluetooth_options, face_on, improv_on, no_air
from app.virtual import iotda_links, misbehaviour, process
from app.virtual.air import broadcasts, every_frame
from app.virtual.camera import Camera
from app.virtual.misbehaviour import Misbehaviour
from app.virtual.notices import Notice
from app.virtual.overhearing import Overhearing
from app.virtual.parts import Place
from app.virtual.process import SetupMode
from ble.errors import RadioOff
from pairing.errors import PairingError
from pairing.mdns import LOOPBACK
from pairing.qr import picture

# How often a registered device reports, or calls home, unless it is said.
EVERY_S: Final = {"mqtt": 10.0, "https": 10.0, "heartbeat": 60.0}

SAYS = {
    "setup": "[green]●[/] waits to be told its Wi-Fi",
    "setup_network": "  its setup network: {speaks} at {host} port {port}",
    "provisioned": "  was told of {ssid}",
    "joined": "  is on {ssid}",
    "not_joined": "[yellow]✗[/] did not get onto {ssid}: {reason}",
    "label": "  its label says {text}",
    "ready": "[green]●[/] {name} [dim]{id}[/] can be paired at {host} port {port}",
    "ready_bluetooth": "[green]●[/] {name} [dim]{id}[/] can be paired over Bluetooth, as {address}",
    "linked_bluetooth": "[green]⇄[/] linked to the hub over Bluetooth",
    "not_linked": "[yellow]✗[/] the hub did not link: {code}",
    "ready_mesh": "[green]●[/] {id} can be added to a Bluetooth mesh",
    "attention": "[bold]✱[/] blinks for {seconds} s: say yes at the hub if this is the one",
    "code_mesh": "  [bold]shows {code}[/]: type it at the hub",
    "provisioned_mesh": "[green]✓[/] is node {address} of a mesh",
    "switched": "  outlet {element} is on: {on}",
    "proving": "  a hub is here",
    "code": "  [bold]blinks {code}[/]: say yes at the hub if it shows the same",
    "prepared": "  taken over, waiting for the hub",
    "paired": "[green]✓[/] paired with {hub_name} [dim]{hub}[/]",
    "pairing_failed": "[yellow]✗[/] not paired: {code} [dim]{step}[/]",
    "linked": "[green]⇄[/] linked to the hub at {host} port {port}",
    "told": "  is told {topic}",
    "reported": "  has reported ({status})",
    "heartbeat": "  called home at {host} port {port}",
    "refused": "[yellow]✗[/] the hub refuses ({status})",
    "unpaired": "[green]○[/] is nobody's: it wiped everything, and ends",
    "upgraded": "[green]✓[/] runs version {version}",
    "unlinked": "[yellow]⇄[/] link lost: {code}",
    "link_refused": "[yellow]✗[/] the hub refuses: {reason}",
    "searching": "  looking for the hub",
    "hub_moved": "  the hub moves",
    "hubs": "  held by {hub}; standby: {standby}",
    "reset": "[yellow]↺[/] reset by {by}: free again",
    "blink": "[bold]✱[/] blinks {times} times",
    "joining_open": "  lets devices join for {seconds} s",
    "joining_closed": "  lets no device join any more",
    "child_joined": "[green]+[/] {product} {child} has joined behind it",
    "child_left": "[yellow]-[/] {child} is behind it no more",
    "wifi_kept": "[green]✓[/] stays on the network {ssid}",
    "wifi_rolled_back": "[yellow]↺[/] back from the network {ssid} to the former one",
    "died": "[red]✗[/] power lost at {step}",
    "unannounced": "[yellow]![/] not announced ({code}): add it by its address",
    "misunderstood": "[yellow]?[/] {cause}",
}


@click.command()
@click.option("--product", default="lamp", show_default=True, help="What it is: lamp, plug, thermostat, ...")
@click.option("--name", default="", help="What it calls itself.  [default: the product's name]")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Its disk: start it with the same file and it is the same device. Without, it forgets all when it ends.",
)
@click.option("--pin", help="The PIN on its label. Without one it shows a code instead.")
@click.option("--label", is_flag=True, help="Print its label, PIN and all, as text and as a QR code.")
@click.option(
    "--method",
    type=click.Choice(["wired", "qr", "ez", "ap", "ble", "improv", "mesh"]),
    default="wired",
    show_default=True,
    help="How it comes onto the network: by a cable, by a code held before its camera, overhearing the hub, "
    "told in a setup network, or by Improv over virtual Bluetooth; with ble it has none and is reached over Bluetooth, "
    "with mesh it is a node of a Bluetooth mesh.",
)
@bluetooth_options
@setup_network_options
@click.option(
    "--wifi", multiple=True, metavar="SSID=PASSWORD", help="A Wi-Fi network there is, for it to join. May be repeated."
)
@click.option(
    "--air-interface",
    metavar="NAME",
    help="With --method ez, the interface to overhear everything on; needs CAP_NET_RAW.  [default: broadcasts only]",
)
@click.option("--air", type=click.Path(path_type=Path), help="Socket of a simulated air to have its radio on.")
@click.option("--host", help="Address to be paired at.  [default: 127.0.0.1; with --lan all]")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to be paired at.  [default: a free one]")
@click.option("--lan", is_flag=True, help="Announce it on the local network, not only on this machine.")
@click.option("--unannounced", is_flag=True, help="Do not announce it: it is paired by address and port.")
@click.option(
    "--misbehave",
    multiple=True,
    metavar="HOW",
    help="Be a bad device: silent, slow=SECONDS, wrong-proof, wrong-credential, dies-at=STEP, deaf, refuses=CODE, "
    "twice, replays, babbles. May be repeated.",
)
@click.option("--children", type=click.IntRange(0, 100), default=0, help="A gateway's: so many join when it lets any.")
@click.option(
    "--link",
    type=click.Choice(["lan", "mqtt", "https", "heartbeat"]),
    default="lan",
    show_default=True,
    help="What it speaks. But for lan it is not paired but registered: doorstep credential register.",
)
@click.option("--at", metavar="URL", help="With --link: the hub, as mqtt://host:port, mqtts://, http:// or https://.")
@click.option("--device-id", help="With --link: what it was registered as.")
@click.option("--secret", help="With --link: its secret, or its token.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.05),
    metavar="SECONDS",
    help="With --link: seconds between reports or heartbeats.",
)
@click.option("--ca", type=click.Path(path_type=Path, dir_okay=False), help="With --link: the hub's certificate (PEM).")
@json_option
def device(
    *,
    misbehave: tuple[str, ...],
    state: Path | None,
    product: str,
    name: str,
    pin: str | None,
    label: bool,
    method: str,
    wifi: tuple[str, ...],
    children: int,
    air_interface: str | None,
    pop: str,
    security: str,
    tuya: bool,
    setup_host: str,
    setup_port: int,
    air: Path | None,
    bluetooth: str | None,
    button: bool,
    outlets: int,
    oob: str | None,
    link: str,
    at: str | None,
    device_id: str | None,
    secret: str | None,
    every: float | None,
    ca: Path | None,
    **where: Any,
) -> None:
    """Be a virtual device until interrupted.

    Its reset button is the signal USR1, or the line `reset` on standard input; `put SERVICE JSON` does something to it
    by hand, as in: put light {"on": true}. With --method qr, `scan TEXT` holds a code before its camera.
    `child PRODUCT` has a device join behind a gateway that lets it.
    """
    if link != "lan":
        how, pace = _how(misbehave), EVERY_S[link] if every is None else every
        _speak(link, product, children, how, pace, at=at, device_id=device_id, secret=secret, ca=ca)
        return
    if method == "mesh":
        be_mesh_node(bluetooth, tell, product=product, outlets=outlets, oob=oob, state=state, misbehave=misbehave)
        return
    place, networks = _place(**where), _networks(wifi)
    setup_network = SetupNetwork(pop, int(security), tuya, setup_host, setup_port)
    options = process.Options(
        product=product,
        name=name,
        state=state,
        pin=pin or None,
        setup=improv_on(bluetooth, name or product, networks, button=button)
        if method == "improv"
        else _setup(method, networks, place.host, air_interface, setup_network),
        bluetooth=face_on(bluetooth) if method == "ble" else None,
        networks=networks,
        air=air,
        label=label,
        place=place,
        how=_how(misbehave),
        children=children,
    )
    try:
        asyncio.run(process.run(options, tell))
    except process.UnknownProduct as error:
        raise CommandError(str(error), exit=Exit.USAGE, code="unknown_product") from error
    except process.StateInUse as error:
        hint = "Give --state another file."
        raise CommandError(str(error), exit=Exit.CONFLICT, code="state_in_use", hint=hint) from error
    except PairingError as error:
        hint = "Delete the file to begin anew as another device."
        raise CommandError(f"{state} cannot be used: {error}", exit=Exit.UNSOUND, code=error.code, hint=hint) from error
    except RadioOff as error:
        raise no_air(error) from error
    except OSError as error:
        raise CommandError(f"cannot start: {error}", exit=Exit.CONFLICT, code="cannot_start") from error


def _speak(
    link: str,
    product: str,
    children: int,
    how: Misbehaviour,
    every: float,
    *,
    at: str | None,
    device_id: str | None,
    secret: str | None,
    ca: Path | None,
) -> None:
    """Be a registered device until interrupted."""
    if not (at and device_id and secret) or not at.startswith("mqtt" if link == "mqtt" else "http"):
        usage = f"--link {link} needs --at URL, --device-id and --secret."
        raise CommandError(usage, exit=Exit.USAGE, code="usage", hint="doorstep credential register --help")
    place = iotda_links.Place(url=at, device_id=device_id, secret=secret, ca=ca, how=how, every=every)
    try:
        asyncio.run(process.run_registered(link, place, product, children, tell))
    except process.UnknownProduct as error:
        raise CommandError(str(error), exit=Exit.USAGE, code="unknown_product") from error
    except OSError as error:
        raise CommandError(f"{ca} cannot be used: {error}", exit=Exit.UNSOUND, code="ca_unusable") from error


def tell(notice: Notice) -> None:
    """One line for what has happened."""
    shown = {key: plain(str(value)) for key, value in notice.details.items()}
    over = f"_{shown['over']}" if "over" in shown else ""
    text = SAYS.get(notice.event + over)
    told = " ".join(f"{key}={value}" for key, value in shown.items())
    data = {"event": notice.event, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), **notice.details}
    event(data, text.format(**shown) if text else f"  {notice.event} [dim]{told}[/]")
    if notice.event == "label" and out().is_terminal and not wants_json():
        click.echo(picture.terminal(str(notice.details["text"])))


def _networks(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    if not all(ssid for ssid, _, _ in pairs):
        raise CommandError("--wifi is SSID=PASSWORD.", exit=Exit.USAGE, code="usage")
    return {ssid: password for ssid, _, password in pairs}


def _setup(
    method: str, networks: dict[str, str], host: str, air_interface: str | None, setup_network: SetupNetwork
) -> SetupMode | None:
    match method:
        case "qr":
            return Camera()
        case "ez":
            air = partial(every_frame, air_interface) if air_interface else broadcasts
            return Overhearing(air, entropy=secrets.token_bytes, host=host)
        case "ap":
            return setup_network.open_for(networks)
        case _:
            return None


def _place(*, host: str | None, port: int, lan: bool, unannounced: bool) -> Place:
    host = host if host is not None else "" if lan else LOOPBACK[0]
    return Place(host=host, port=port, interfaces=None if lan else LOOPBACK, announced=not unannounced)


def _how(words: tuple[str, ...]) -> Misbehaviour:
    try:
        return misbehaviour.parse(words)
    except ValueError as error:
        raise CommandError(str(error), exit=Exit.USAGE, code="unknown_misbehaviour") from error
