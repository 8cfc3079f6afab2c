"""The two operations over the services, and who asks for them: `app.companion.layers.Face`."""

from typing import Any

from litestar import Request, Response
from litestar.types import Scope, Send

from app.accounts.credentials import Credentials
from app.accounts.dialects import Dialect
from app.caller import Caller, demand
from app.companion.layers import bearer_of
from app.devices import queries as device_queries
from app.devices.reset_model import Record
from app.devices.service import Devices
from app.dialects.bota import errors
from app.dialects.bota.model import BotaDevice, device_id_of, device_of
from app.errors import NotFound
from app.links.heartbeat import queries as heartbeat_queries
from app.policy import Action, Actor
from app.store.store import Store
from app.store.tx import Reader, Tx


class Bota:
    """A key acts for its account, within its scopes; this face adds no right."""

    prefix = "/v1/devices"

    def __init__(self, store: Store, credentials: Credentials, devices: Devices) -> None:
        self._store = store
        self._credentials = credentials
        self._devices = devices

    # as a face

    def actor_of(self, scope: Scope) -> Actor | None:
        """Whose `sk_live_` key a request carries; no other credential is one here."""
        token = bearer_of(scope)
        return None if token is None else self._credentials.actor_of(token, self._store.clock.now(), Dialect.BOTA)

    async def refuse(self, send: Send, error: Exception, request_id: str) -> None:
        """In this dialect's words."""
        await errors.send_refusal(send, error)

    def to_response(self, request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """The same from inside Litestar."""
        return errors.to_response(request, error)

    # what programs ask

    async def get(self, actor: Actor, shown_id: str) -> BotaDevice:
        """The device; raises NotFound, Refused."""
        device_id = device_id_of(shown_id)
        resource = self._devices.access.device(actor, device_id)
        demand(actor, Action.DEVICE_READ, resource, self._store.clock.now())
        inside = resource.standing.role is not None
        return await self._store.read(lambda reader: _shown(reader, device_id, inside=inside))

    async def reset(self, by: Caller, shown_id: str) -> BotaDevice:
        """Reset it, its record kept; the device as it is then. Raises NotFound, Refused, TooMany."""
        device_id = device_id_of(shown_id)

        def act(tx: Tx) -> BotaDevice:
            self._devices.resets.reset_in(tx, by, device_id, Record.KEEP)
            return _shown(tx, device_id, inside=True)

        return await self._store.write(act, once=by.once, returns=BotaDevice)


def _shown(reader: Reader, device_id: str, *, inside: bool) -> BotaDevice:
    device = device_queries.device(reader, device_id)
    if device is None:
        raise NotFound
    return device_of(device, heartbeat_queries.last(reader, device_id), inside=inside)
