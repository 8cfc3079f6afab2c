"""The setup network of a virtual device, as `doorstep device --method ap` is asked for it."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click
from msgspec import Struct

from app.virtual.setup_ap import ProtocommAp, TuyaAp
from pairing.ap.setup import SeenNetwork
from pairing.mdns import LOOPBACK
from pairing.protocomm.client import Proof

F = TypeVar("F", bound=Callable[..., Any])


class SetupNetwork(Struct, frozen=True):
    """What is spoken in it, and at which address of this machine: the radio itself is left out."""

    pop: str
    security: int
    tuya: bool
    host: str
    port: int

    def open_for(self, networks: Iterable[str]) -> ProtocommAp | TuyaAp:
        """The device's end of it, for one that sees these Wi-Fi networks."""
        if self.tuya:
            return TuyaAp(host=self.host, port=self.port)
        seen = [SeenNetwork(ssid) for ssid in networks]
        return ProtocommAp(Proof(self.pop), scheme=self.security, host=self.host, port=self.port, networks=seen)


def setup_network_options(command: F) -> F:
    """The command's options about it."""
    options = (
        click.option("--pop", default="", help="With --method ap: its proof of possession, as printed on it."),
        click.option(
            "--security",
            type=click.Choice(["1", "2"]),
            default="2",
            show_default=True,
            help="With --method ap: the security scheme it speaks.",
        ),
        click.option("--tuya", is_flag=True, help="With --method ap: be told in Tuya's older way, by one datagram."),
        click.option("--setup-host", default=LOOPBACK[0], show_default=True, help="Where its setup network would be."),
        click.option(
            "--setup-port",
            type=click.IntRange(0, 65535),
            default=0,
            help="Port there; devices have 80, or 6669 with --tuya.  [default: a free one]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
