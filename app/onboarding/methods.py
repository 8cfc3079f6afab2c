"""The pairing methods this hub has, on the network it was opened to."""

import secrets
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from pairing.ap.networkmanager import spare_radio
from pairing.ap.radio import NoSpareRadioError, Radio
from pairing.identity import Identity
from pairing.interfaces import LOOPBACK
from pairing.methods.ap import Ap
from pairing.methods.ez import Ez, ipv4_interfaces
from pairing.methods.gateway import BehindGateway, Gateways
from pairing.methods.method import Method
from pairing.methods.over_lan import Browse, Offers
from pairing.methods.qr_shown import QrShown
from pairing.methods.wired import Wired


def hub_methods(
    identity: Identity, offers: Offers, *, browse: Browse, gateways: Gateways, lan: bool
) -> tuple[Method, ...]:
    """Each method there is. `lan` False: nothing is sent beyond this machine, and its Wi-Fi is left alone."""
    over_lan: dict[str, Any] = {"entropy": secrets.token_bytes, "browse": browse}
    return (
        Wired(identity, offers, **over_lan),
        QrShown(identity, offers, **over_lan),
        Ez(identity, offers, interfaces=partial(ipv4_interfaces, None if lan else LOOPBACK), **over_lan),
        Ap(identity, offers, radios=spare_radio if lan else _NoRadio, **over_lan),
        BehindGateway(gateways),
    )


class _NoRadio(AbstractAsyncContextManager[Radio]):
    async def __aenter__(self) -> Radio:
        raise NoSpareRadioError("The hub was opened to this machine only; start it with --lan.")

    async def __aexit__(self, *_: object) -> None:
        pass
