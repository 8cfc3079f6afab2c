"""AP mode of a virtual device: ways of being told its network in a setup network of its own (`app.virtual.setup`).

The radio of it is left out: what would be the setup network's gateway is an address of this machine.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from app.virtual import setup_http, setup_tuya
from pairing.ap import tuya
from pairing.ap.setup import Connected, Connecting, Failed, Reason, SeenNetwork, Status
from pairing.mdns import LOOPBACK
from pairing.protocomm.client import Proof
from pairing.protocomm.device import Inside, SetupDevice
from pairing.talk import Entropy
from pairing.wifi import Provisioned

LINGER = 5.0
"""Seconds the setup network stays up once the device has joined, for whoever asks whether it has."""

_REASONS = {"no_such_network": Reason.NOT_FOUND}


class ProtocommAp:
    """Setup by ESP-IDF's provisioning over HTTP. `port`: where, once it is open. `networks`: what it sees.

    `ip`: what it says its address on the network is. `takes_token`: False is what stock firmware does.
    """

    def __init__(
        self,
        proof: Proof,
        *,
        scheme: int = 2,
        host: str = LOOPBACK[0],
        port: int = 0,
        networks: Sequence[SeenNetwork] = (),
        ip: str = LOOPBACK[0],
        takes_token: bool = True,
        entropy: Entropy = secrets.token_bytes,
    ) -> None:
        self.port = port
        self._proof = proof
        self._scheme = scheme
        self._host = host
        self._networks = tuple(networks)
        self._ip = ip
        self._takes_token = takes_token
        self._entropy = entropy

    @property
    def where(self) -> dict[str, Any]:
        """How and where it is spoken to."""
        return {"speaks": "protocomm", "security": self._scheme, "host": self._host, "port": self.port}

    @asynccontextmanager
    async def open(self) -> AsyncIterator["_Told"]:
        told = _Told(self._ip)
        inside = Inside(lambda: self._networks, told.tell, told.status)
        device = SetupDevice(
            self._proof, inside, entropy=self._entropy, scheme=self._scheme, takes_token=self._takes_token
        )
        async with setup_http.serving(device, self._host, self.port) as self.port:
            yield told


class TuyaAp:
    """Setup by Tuya's datagram. `port`: where, once it is open."""

    def __init__(self, *, host: str = LOOPBACK[0], port: int = tuya.PORT) -> None:
        self.port = port
        self._host = host

    @property
    def where(self) -> dict[str, Any]:
        """How and where it is spoken to."""
        return {"speaks": "tuya", "security": 0, "host": self._host, "port": self.port}

    @asynccontextmanager
    async def open(self) -> AsyncIterator["_Told"]:
        told = _Told()
        told.asked.set()  # nobody can ask it anything
        async with setup_tuya.listening(told.tell, self._host, self.port) as self.port:
            yield told


class _Told:
    """What was told last, and what has become of it. Told anew before that was tried, the newer counts."""

    def __init__(self, ip: str = "") -> None:
        self.asked = asyncio.Event()
        self._ip = ip
        self._status: Status = Connecting()
        self._letter: asyncio.Queue[Provisioned] = asyncio.Queue(1)

    def tell(self, provisioned: Provisioned) -> None:
        """It is told this."""
        while not self._letter.empty():
            self._letter.get_nowait()
        self._letter.put_nowait(provisioned)
        self._status = Connecting()

    def status(self) -> Status:
        """What it says of its joining."""
        if isinstance(self._status, Connected):
            self.asked.set()
        return self._status

    async def next(self) -> Provisioned:
        return await self._letter.get()

    async def outcome(self, refused: str | None) -> None:
        if not self._letter.empty():
            return  # it has been told anew meanwhile: that is what is asked about now
        if refused is not None:
            self._status = Failed(_REASONS.get(refused, Reason.AUTH))
            return
        self._status = Connected(self._ip)
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self.asked.wait()
