"""What a platform wants of devices (its shadows' desired values), taken over as wishes of who attached it."""

from typing import Any

import structlog

from app.caller import Caller
from app.devices.model import Device
from app.devices.product.model import Service
from app.devices.service import Devices
from app.errors import DoorstepError
from app.links.iotda.codec import names, payloads
from app.links.iotda.codec.fields import decode, given
from app.store.store import Store
from app.store.tx import Reader, Tx
from app.sync.iotda import mapping, queries, roster
from app.sync.iotda.model import Upstream
from app.sync.iotda.requests import actor_of

_log = structlog.get_logger("doorstep.upstream")


class Wishes:
    """Each is taken over once: what people at home wanted since is not undone at every connection."""

    def __init__(self, store: Store, devices: Devices) -> None:
        self._store = store
        self._devices = devices

    async def take(self, upstream: Upstream, payload: bytes) -> None:
        """A shadow, as it was answered (2.7.5); on disk when this returns. Raises IotdaError."""
        said = decode(payloads.shadow_response, payload)
        for data in given(said.shadow, ()):
            await self._take_service(upstream, said.object_device_id, data)

    async def _take_service(self, upstream: Upstream, remote_id: str, data: payloads.ShadowData) -> None:
        home_id, mark = upstream.home_id, mapping.mark(data)
        found = await self._store.read(lambda reader: self._found(reader, home_id, remote_id, data))
        if found is None or not mark:
            return
        device, service, values = found

        def act(tx: Tx) -> None:
            marks = queries.wishes(tx, home_id, remote_id)
            if marks.get(service.id) == mark:
                return
            queries.put_wishes(tx, home_id, remote_id, {**marks, service.id: mark})
            if values:
                by = Caller(actor_of(upstream), request_id="upstream")
                self._devices.shadows.desire_in(tx, by, device.id, service.id, values)

        try:
            await self._store.write(act)
        except DoorstepError as error:
            # It is read anew, and tried again, at the next connection.
            _log.info("wish of a platform not taken over", device=device.id, service=service.id, code=error.code)

    def _found(
        self, reader: Reader, home_id: str, remote_id: str, data: payloads.ShadowData
    ) -> tuple[Device, Service, dict[str, Any]] | None:
        device = roster.device_of(reader, home_id, remote_id)
        product = None if device is None else self._devices.catalogue.get(device.product_id)
        service = names.service_of(product, data.service_id)
        if device is None or service is None:
            return None
        reported = self._devices.shadows.state_in(reader, device.id, service.id).reported
        return device, service, mapping.wished(service, data, reported)
