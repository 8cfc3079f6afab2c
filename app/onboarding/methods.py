"""The pairing methods this hub has, on the network it was opened to."""

import secrets
from contextlib import AbstractAsyncContextManager
from functools import partial

from ble.radio import Radio as BleRadio
from pairing.ap.networkmanager import spare_radio
from pairing.ap.radio import NoSpareRadioError, Radio
from pairing.identity import Identity
from pairing.interfaces import LOOPBACK
from pairing.methods.ap import Ap
from pairing.methods.ble import Ble
from pairing.methods.ble_wifi import BleWifi
from pairing.methods.bthome import BTHomeSensors
from pairing.methods.by_app import ByApp
from pairing.methods.ez import Ez, ipv4_interfaces
from pairing.methods.gateway import BehindGateway, Gateways
from pairing.methods.mesh import Mesh, Networks
from pairing.methods.method import Method
from pairing.methods.over_lan import Browse, Offers, OverLan
from pairing.methods.qr_shown import QrShown
from pairing.methods.wired import Wired


def hub_methods(
    identity: Identity,
    offers: Offers,
    *,
    browse: Browse,
    gateways: Gateways,
    meshes: Networks,
    radio: BleRadio,
    lan: bool,
) -> tuple[Method, ...]:
    """Each method there is. `lan` False: nothing is sent to the network beyond this machine, and its Wi-Fi is left
    alone. Where `radio` is not usable, what needs it says so when it is wanted.
    """
    over_lan = OverLan(identity, offers, entropy=secrets.token_bytes, browse=browse)
    return (
        Wired(over_lan),
        QrShown(over_lan),
        Ez(over_lan, interfaces=partial(ipv4_interfaces, None if lan else LOOPBACK)),
        Ap(over_lan, radios=spare_radio if lan else _NoRadio),
        Ble(over_lan, radio),
        BleWifi(over_lan, radio),
        BTHomeSensors(radio),
        Mesh(meshes, radio),
        BehindGateway(gateways),
        ByApp(over_lan),
    )


class _NoRadio(AbstractAsyncContextManager[Radio]):
    async def __aenter__(self) -> Radio:
        raise NoSpareRadioError("The hub was opened to this machine only; start it with --lan.")

    async def __aexit__(self, *_: object) -> None:
        pass
