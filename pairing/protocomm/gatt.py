"""Carries calls over GATT: each endpoint is a characteristic that is written and then read (ESP-IDF, protocomm_ble)."""

from typing import Final

from ble.adverts import ESP_SERVICE
from ble.errors import NotOffered
from ble.radio import Connection, uuid16
from pairing.errors import MalformedMessageError
from pairing.gatt.failures import translated
from pairing.protocomm.calls import MAX_BODY, Call, EndpointRefusedError

SERVICE: Final = ESP_SERVICE
"""What firmware is built with unless somebody chooses another; it is advertised in any case."""
NAMED_BY: Final = uuid16(0x2901)
"""Characteristic User Description: an endpoint's name."""
MAX_ENDPOINTS: Final = 16


class GattCarrier:
    """`open` it over a connection to a device that offers `service`, then `ask`. The connection is the caller's."""

    def __init__(self, connection: Connection, service: str = SERVICE) -> None:
        self._connection = connection
        self._service = service
        self._endpoints: dict[str, str] = {}

    async def open(self) -> None:
        """Read which characteristic is which endpoint. Raises PairingError."""
        with translated("reaching"):
            for characteristic in self._connection.characteristics(self._service)[:MAX_ENDPOINTS]:
                try:
                    name = await self._connection.descriptor(characteristic, NAMED_BY)
                except NotOffered:
                    continue
                self._endpoints[name.rstrip(b"\0").decode("ascii", "replace")] = characteristic

    async def ask(self, call: Call) -> bytes:
        """What the endpoint answers. Raises EndpointRefusedError, PairingError."""
        characteristic = self._endpoints.get(call.endpoint)
        if characteristic is None:
            raise EndpointRefusedError("no such endpoint", step=call.step)
        with translated(call.step):
            try:
                # The ATT layer cuts what is longer than one packet, both ways (long write, read blob).
                await self._connection.write(characteristic, call.body, response=True)
                answer = await self._connection.read(characteristic)
            except NotOffered as error:
                raise EndpointRefusedError(str(error), step=call.step) from error
        if len(answer) > MAX_BODY:
            raise MalformedMessageError("answer too long", step=call.step)
        return answer
