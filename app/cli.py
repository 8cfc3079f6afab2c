"""The command `doorstep`: its verbs, found by name and loaded one at a time."""

import gc
import importlib
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

import click

from app.commands.exits import MEANING, Exit
from app.version import version

VERBS: Final[dict[str, str]] = {
    "demo": "app.commands.demo:demo",
    "serve": "app.commands.serve:serve",
    "device": "app.commands.device:device",
    "air": "app.commands.virtual_bluetooth:air",
    "pair": "app.commands.pair:pair",
    "mesh": "app.commands.mesh:mesh",
    "home": "app.commands.home:home",
    "room": "app.commands.room:room",
    "upstream": "app.commands.upstream:upstream",
    "wifi": "app.commands.wifi:wifi",
    "member": "app.commands.member:member",
    "share": "app.commands.share:share",
    "key": "app.commands.key:key",
    "reset": "app.commands.reset:reset",
    "freeze": "app.commands.freeze:freeze",
    "unfreeze": "app.commands.freeze:unfreeze",
    "transfer": "app.commands.transfer:transfer",
    "hold": "app.commands.hold:hold",
    "credential": "app.commands.credential:credential",
    "cloud": "app.commands.cloud:cloud",
    "hub": "app.commands.hub:hub",
    "sync": "app.commands.sync:sync",
    "package": "app.commands.package:package",
    "account": "app.commands.account:account",
    "backup": "app.commands.backup:backup",
    "restore": "app.commands.backup:restore",
    "doctor": "app.commands.doctor:doctor",
}


class Verbs(click.Group):
    """Loads the verb that was asked for and no other: `doorstep backup` need not import the server."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every verb, in the order a newcomer meets them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of that name, or None."""
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name].partition(":")
        looks = gc.isenabled()
        gc.disable()  # what is imported stays: looking for rings in it is a seventh of the start of `serve`
        try:
            found: click.Command = getattr(importlib.import_module(module), name)
        finally:
            if looks:
                gc.enable()
        return found

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The exit codes, so that a script's author finds them where everything else is."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in MEANING.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version(), message="doorstep %(version)s")
def cli() -> None:
    """Doorstep: pair devices and run homes, with or without internet.

    Start with `doorstep demo`, or `doorstep serve` for a hub of your own.
    """


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, or these arguments, and exit with a code of `app.commands.exits`."""
    try:
        sys.exit(cli.main(arguments, prog_name="doorstep", standalone_mode=False) or Exit.OK)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("\ninterrupted\n")
        sys.exit(Exit.INTERRUPTED)
