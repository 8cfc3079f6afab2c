"""Setup by Tuya's older AP mode: a `Setup` that can only tell, into the open air, and hears nothing back."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress

from pairing.ap import tuya
from pairing.ap.setup import Connecting, SeenNetwork, Status
from pairing.errors import ConnectionLostError
from pairing.wifi import WifiNetwork

TIMES = 5
"""Datagrams sent to each address: none is acknowledged, and any may be lost."""
PAUSE = 0.3


class TuyaSetup:
    """`addresses`: where the device may be; `interface`: the one to go out by, "" for what the routes say."""

    reports = False

    def __init__(
        self, addresses: Sequence[str] = tuya.ADDRESSES, *, port: int = tuya.PORT, interface: str = ""
    ) -> None:
        self._addresses = addresses
        self._port = port
        self._interface = interface

    async def scan(self) -> tuple[SeenNetwork, ...]:
        return ()

    async def send(self, network: WifiNetwork, token: bytes) -> bool:
        datagram = tuya.pack(network, token)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
            outward.setblocking(False)
            self._bind(outward)
            sent = False
            for time in range(TIMES):
                if time:
                    await asyncio.sleep(PAUSE)
                sent = self._send(outward, datagram) or sent
        if not sent:
            raise ConnectionLostError("no way there", step="sending")
        return True

    async def status(self) -> Status:
        return Connecting()

    def _bind(self, outward: socket.socket) -> None:
        if self._interface:
            try:
                outward.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode())
            except OSError as error:
                raise ConnectionLostError(type(error).__name__, step="sending") from error

    def _send(self, outward: socket.socket, datagram: bytes) -> bool:
        """Whether any address took it. Once the device has left for its Wi-Fi none does, and that is well."""
        taken = False
        for address in self._addresses:
            with suppress(OSError):
                outward.sendto(datagram, (address, self._port))
                taken = True
        return taken
