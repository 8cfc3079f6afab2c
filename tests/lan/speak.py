"""Our sender as a program: `python -m tests.lan.speak ENCODING ADDRESS SSID PASSWORD TOKEN [KEY]`, run on a host.

It sends from the interface that has the address, until it is killed or two minutes are over.
"""

import asyncio
import secrets
import sys

from pairing.ez import sender
from pairing.ez.encodings import ENCODINGS
from pairing.ez.frames import Credentials
from pairing.wifi import network_of


async def ignore(_: sender.Progress) -> None:
    return None


async def main(encoding: str, address: str, ssid: str, password: str, token: str, key: str = "") -> None:
    """Make attempts of one encoding."""
    network = network_of(ssid, password)
    credentials = Credentials(network=network, token=token.encode(), sender=address, key=key.encode())
    attempt = sender.Attempt(encoding, ENCODINGS[encoding].encode(credentials, secrets.token_bytes))
    await sender.send({address: [attempt]}, on_progress=ignore)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
