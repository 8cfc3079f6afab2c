"""Setup by ESP-IDF's provisioning: a `Setup` that proves itself before it says anything."""

import asyncio

from pairing.ap.setup import SeenNetwork, Status
from pairing.errors import ConnectionLostError, PeerSilentError
from pairing.protocomm import client
from pairing.protocomm.carrying import Ask, carry
from pairing.protocomm.client import Proof, Session
from pairing.talk import Entropy
from pairing.wifi import WifiNetwork

REACH_PATIENCE = 20.0
"""Seconds in which the first call may fail: routes and permissions come late on some machines."""
REACH_PAUSE = 0.5


class ProtocommSetup:
    """`ask` carries the calls. The session is proven when something is first asked of the device, and kept."""

    reports = True

    def __init__(self, ask: Ask, proof: Proof, *, entropy: Entropy, reach_patience: float = REACH_PATIENCE) -> None:
        self._ask = ask
        self._proof = proof
        self._entropy = entropy
        self._reach_patience = reach_patience
        self._session: Session | None = None

    async def scan(self) -> tuple[SeenNetwork, ...]:
        return await carry(client.scan(await self._proven()), self._ask)

    async def send(self, network: WifiNetwork, token: bytes) -> bool:
        return await carry(client.send(await self._proven(), network, token), self._ask)

    async def status(self) -> Status:
        try:
            return await carry(client.status(await self._proven()), self._ask)
        except (ConnectionLostError, PeerSilentError):
            # The cipher counts calls: after one whose fate is unknown, only a new session is understood.
            self._session = None
            raise

    async def _proven(self) -> Session:
        if self._session is None:
            await self._reach()
            self._session = await carry(client.establish(self._proof, entropy=self._entropy), self._ask)
        return self._session

    async def _reach(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._reach_patience
        while True:
            try:
                await carry(client.hear_version(), self._ask)
                return
            except (ConnectionLostError, PeerSilentError):
                if loop.time() + REACH_PAUSE > deadline:
                    raise
            await asyncio.sleep(REACH_PAUSE)
