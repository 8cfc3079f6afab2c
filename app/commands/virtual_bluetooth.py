"""Virtual Bluetooth for commands: `doorstep air`, and the devices that `doorstep device` puts on it."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from app.commands.exits import Exit
from app.commands.terminal import CommandError, answer, json_option
from app.settings import virtual_port
from app.virtual.face import Face
from app.virtual.notices import Notice
from ble.errors import RadioOff
from ble.mesh.node import faults
from pairing.ap.setup import SeenNetwork
from pairing.improv.messages import Info

if TYPE_CHECKING:
    from app.virtual.setup_improv import ImprovMode

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_PORT = 8475


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0: a free one.")
@json_option
def air(port: int) -> None:
    """Be the air between a hub without Bluetooth and virtual devices, until interrupted.

    Then: doorstep serve --bluetooth virtual:PORT, and: doorstep device --method ble --bluetooth virtual:PORT.
    """
    # Here and below, because bumble is an extra: what needs no virtual Bluetooth runs without it.
    try:
        from ble.virtual.air import Air  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error

    async def last() -> None:
        async with Air(port) as there:
            facts = {"event": "ready", "port": there.port, "setting": f"virtual:{there.port}"}
            answer(facts, f"[green]●[/] virtual Bluetooth: --bluetooth virtual:{there.port}")
            await asyncio.Event().wait()

    try:
        asyncio.run(last())
    except OSError as error:
        hint = "Choose another with --port (0: any)."
        raise CommandError(f"Port {port} cannot be used.", exit=Exit.CONFLICT, code="port_in_use", hint=hint) from error


def bluetooth_options(command: F) -> F:
    """The options of a device that has virtual Bluetooth."""
    options = (
        click.option(
            "--bluetooth",
            metavar="virtual:PORT",
            help="With --method ble, improv and mesh: the air to be on (doorstep air).",
        ),
        click.option(
            "--button", is_flag=True, help="With --method improv: it must be pressed first, by the line `press`."
        ),
        click.option(
            "--outlets",
            type=click.IntRange(1, 16),
            default=1,
            show_default=True,
            help="With --method mesh and --product mesh_switch: how many.",
        ),
        click.option(
            "--oob",
            metavar="shown|HEX",
            help="With --method mesh: it shows a number to be typed, or has this secret on its label.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def face_on(bluetooth: str | None) -> Face:
    """Of a device that is paired and linked over Bluetooth."""
    port = _port(bluetooth)
    try:
        from app.virtual.on_air import OnAir  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error
    return OnAir(port)


def improv_on(bluetooth: str | None, name: str, networks: Iterable[str], *, button: bool) -> "ImprovMode":
    """Of a device that is told by Improv which of these Wi-Fi networks it is to join."""
    port = _port(bluetooth)
    try:
        from app.virtual.setup_improv import ImprovMode  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error
    info = Info("doorstep", "1.0", "virtual", name)
    return ImprovMode(port, info, networks=[SeenNetwork(ssid) for ssid in networks], authorized=not button)


def be_mesh_node(
    bluetooth: str | None,
    tell: Callable[[Notice], None],
    *,
    product: str,
    outlets: int,
    oob: str | None,
    state: Path | None,
    misbehave: tuple[str, ...],
) -> None:
    """Be a node of a Bluetooth mesh until interrupted."""
    port = _port(bluetooth)
    try:
        from app.virtual import mesh_node  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error
    try:
        options = mesh_node.Options(
            air=port,
            product=product,
            outlets=outlets,
            state=state,
            static=bytes.fromhex(oob) if oob not in (None, "shown") else None,
            shows=oob == "shown",
            fault=faults.named(misbehave[0]) if misbehave else None,
        )
        asyncio.run(mesh_node.run(options, tell))
    except ValueError as error:
        raise CommandError(str(error), exit=Exit.USAGE, code="usage") from error
    except RadioOff as error:
        raise no_air(error) from error


def no_air(error: RadioOff) -> CommandError:
    """Nothing is where the air should be."""
    hint = "Start the air with `doorstep air`, and name its port: --bluetooth virtual:PORT"
    return CommandError(f"no Bluetooth: {error}", exit=Exit.CONFLICT, code=error.code, hint=hint)


def _port(bluetooth: str | None) -> int:
    port = virtual_port(bluetooth or "")
    if port is None:
        hint = "Start the air with: doorstep air"
        raise CommandError("Say where the air is: --bluetooth virtual:PORT", exit=Exit.USAGE, code="usage", hint=hint)
    return port


def _not_installed(error: ModuleNotFoundError) -> CommandError:
    return CommandError(str(error), exit=Exit.USAGE, code="virtual_bluetooth_missing")
