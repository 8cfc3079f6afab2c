"""Asks every node in turn how it is: who does not answer is away after a few rounds, not at once."""

from collections.abc import Awaitable, Callable

from app.links.mesh.obeying import Obeying
from app.links.mesh.placing import Placed, Places
from app.links.mesh.speaking import asking
from ble.errors import BleError
from ble.mesh.client import MeshClient, NodeSilent
from ble.mesh.models import ctl

TRIES = 2


class Polling:
    """One round after the other. A node that sleeps is not asked: it speaks when it wakes."""

    def __init__(
        self, client: MeshClient, places: Places, obeying: Obeying, missed: Callable[[int], None], every: float
    ) -> None:
        self._client, self._places, self._obeying = client, places, obeying
        self._missed, self._every = missed, every

    async def run(self, pause: Callable[[float], Awaitable[None]]) -> None:
        """For ever; `pause` may return early, when somebody is new."""
        while True:
            for address in self._places.nodes:
                if not await self._poll(address):
                    self._missed(address)
            await pause(self._every)

    async def _poll(self, address: int) -> bool:
        """Whether it answered; what it says is heard by whoever listens to the network."""
        for placed in self._places.on(address):
            if placed.sleeps:
                return True
            try:
                await self._learn_whites(placed)
                for each in asking(placed.part):
                    await self._obeying.ask(placed, each, tries=TRIES)
            except NodeSilent:
                return False
            except BleError:
                return self._client.is_connected  # without a proxy nobody is heard
        return True

    async def _learn_whites(self, placed: Placed) -> None:
        if placed.part.temperature is None or placed.device_id in self._obeying.kelvin:
            return
        get, status = ctl.TemperatureRangeGet(), ctl.TemperatureRangeStatus
        at = placed.at(placed.part.element)
        answer = await self._client.request(at, get.message(), self._obeying.key, answers=(status.OPCODE,), tries=TRIES)
        told = status.read(answer.parameters)
        if told.low < told.high:
            self._obeying.kelvin[placed.device_id] = (told.low, told.high)
