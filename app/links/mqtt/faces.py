"""MQTT as a hub's settings want it: its own endpoint on up to three ports, or the client of a broker."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from msgspec import Struct

from app import tls
from app.errors import Unavailable
from app.links.mqtt.broker import BrokerAt, BrokerLink
from app.links.mqtt.endpoint import Endpoint
from app.links.mqtt.limits import Limits
from app.links.mqtt.ports import Addressing, Admission, Hearing, MqttLink
from app.links.mqtt.trust import Trust
from app.settings import Settings
from app.store.store import Store


class Speakers(Struct, frozen=True):
    """Who knows devices: says who may come in, hears them, and is given the link back to them.

    `authorities`: certificates (PEM) of those who sign devices'; "" while there are none, and none is asked for. It
    blocks, and is asked again and again.
    """

    admission: Admission
    hearing: Hearing
    addressing: Addressing
    take_link: Callable[[MqttLink], None]
    authorities: Callable[[], str] = str


class PortUnusable(Unavailable):
    """An MQTT port cannot be listened on."""

    code = "mqtt_port_unusable"


class MqttFaces:
    """`open` what the settings say; `ports` by face (tcp, tls, ws or wss) from then on. `close` ends all of it."""

    def __init__(self, store: Store, settings: Settings, speakers: Speakers, hub_id: str) -> None:
        self._store = store
        self._settings = settings
        self._speakers = speakers
        self._hub_id = hub_id
        self.trust: Trust | None = None
        self.ports: dict[str, int] = {}
        self.endpoint: Endpoint | None = None
        self.broker: BrokerLink | None = None

    async def open(self) -> None:
        """Raises PortUnusable, BrokerUnusable or TlsError."""
        if self._settings.mqtt_broker is not None:
            self.broker = BrokerLink(self._broker(self._settings.mqtt_broker), *self._hearers())
            self.broker.start()
            self._speakers.take_link(self.broker)
            return
        speakers = self._speakers
        self.endpoint = Endpoint(self._store, speakers.admission, speakers.hearing, limits_of(self._settings))
        await self.endpoint.open()
        speakers.take_link(self.endpoint)
        await self._listen(self.endpoint)

    async def close(self) -> None:
        """Safe after an `open` that failed."""
        if self.trust is not None:
            self.trust.close()
        if self.endpoint is not None:
            await self.endpoint.close()
        if self.broker is not None:
            await self.broker.close()

    def __len__(self) -> int:
        """How many are connected."""
        return len(self.endpoint or ()) + len(self.broker or ())

    def _hearers(self) -> tuple[Addressing, Hearing]:
        return self._speakers.addressing, self._speakers.hearing

    def _broker(self, url: str) -> BrokerAt:
        settings = self._settings
        return BrokerAt(
            url=url,
            client_id=f"doorstep-{self._hub_id}",
            username=settings.mqtt_broker_username,
            password=settings.mqtt_broker_password,
            ca=settings.mqtt_broker_ca,
        )

    async def _listen(self, endpoint: Endpoint) -> None:
        settings = self._settings
        if settings.tls:
            self.trust = Trust(self._certificate, self._speakers.authorities)
            await self.trust.open()
        await self._bind(endpoint, "tcp", settings.mqtt_port)
        if self.trust is not None:
            await self._bind(endpoint, "tls", settings.mqtt_tls_port)
        if settings.mqtt_websocket_port is not None:
            await self._bind(endpoint, "wss" if self.trust else "ws", settings.mqtt_websocket_port)

    async def _bind(self, endpoint: Endpoint, face: str, port: int) -> None:
        host, trust = self._settings.host, self.trust if face in ("tls", "wss") else None
        tls_of = None if trust is None else lambda: trust.context
        try:
            self.ports[face] = await endpoint.listen(host, port, tls=tls_of, websocket=face.startswith("ws"))
        except OSError as error:
            raise PortUnusable(
                f"Port {port} on {host}, for MQTT ({face}), is in use; choose another, 0 for any, or --no-mqtt."
            ) from error

    async def _certificate(self) -> tls.Certificate:
        settings = self._settings
        names = tls.local_names(settings.host, settings.tls_names)
        return await asyncio.to_thread(tls.ensure, settings.data, names, datetime.now(UTC))


def limits_of(settings: Settings) -> Limits:
    """Of one client, as the hub's own limits say."""
    chosen = settings.limits
    return Limits(
        packet=chosen.mqtt_packet_bytes,
        window=chosen.mqtt_window,
        rate=chosen.mqtt_messages_per_second,
        burst=chosen.mqtt_message_burst,
        kept=chosen.mqtt_kept_messages,
        connections=chosen.mqtt_connections,
        connections_per_address=chosen.mqtt_connections_per_address,
    )
