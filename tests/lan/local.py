"""What a phone does in a device's setup network: `python -m tests.lan.local HOST POP SSID PASSWORD TOKEN`, on its host.

It tells the device network and token, and says what the device says became of it.
"""

import asyncio
import secrets
import sys

from pairing.ap.protocomm import ProtocommSetup
from pairing.ap.setup import Connecting, Failed
from pairing.errors import PairingError
from pairing.protocomm.client import Proof
from pairing.protocomm.http import HttpCarrier
from pairing.wifi import network_of

ASK_SECONDS = 0.1


async def main(host: str, pop: str, ssid: str, password: str, token: str) -> None:
    """Prints `connected`, or why not."""
    try:
        async with HttpCarrier(host) as carrier:
            setup = ProtocommSetup(carrier.ask, Proof(pop), entropy=secrets.token_bytes)
            await setup.send(network_of(ssid, password), token.encode())
            while isinstance(status := await setup.status(), Connecting):
                await asyncio.sleep(ASK_SECONDS)
        print(status.reason.value if isinstance(status, Failed) else "connected")
    except PairingError as error:
        print(error.code)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
