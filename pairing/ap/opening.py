"""Speaking to a device once its setup network is joined."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

from pairing.ap.protocomm import ProtocommSetup
from pairing.ap.radio import Speaks
from pairing.ap.setup import Setup
from pairing.ap.tuya_setup import TuyaSetup
from pairing.protocomm.client import Proof
from pairing.protocomm.http import HttpCarrier
from pairing.talk import Entropy

Setups: TypeAlias = Callable[[Speaks, str, Proof, Entropy], AbstractAsyncContextManager[Setup]]
"""The device at the other end of that interface, spoken to in that way while the context lasts."""


@asynccontextmanager
async def open_setup(speaks: Speaks, interface: str, proof: Proof, entropy: Entropy) -> AsyncIterator[Setup]:
    """The device whose setup network that interface is on, at the address its kind has there."""
    if speaks == "tuya":
        yield TuyaSetup(interface=interface)
        return
    async with HttpCarrier(interface=interface) as carrier:
        yield ProtocommSetup(carrier.ask, proof, entropy=entropy)
