"""A running hub: everything between a data folder and the ASGI application, started and stopped in order."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import cast

import structlog
from litestar.types import ASGIApp

from app.companion.fast import FastLane
from app.companion.observed import Counting, ObservedLayer
from app.links.ble import BleLinks
from app.links.bthome import SensorLink
from app.links.lan import LanLink
from app.links.mqtt.faces import MqttFaces, Speakers
from app.metrics import Metrics
from app.onboarding.inbox_news import InboxNews
from app.onboarding.methods import hub_methods
from app.onboarding.offers import Offers
from app.radio import opened_radio
from app.server import application
from app.services import Services
from app.serving import AddressUnusable
from app.settings import Settings
from app.store.prepare import open_store
from app.store.store import Store
from app.sync.iotda.connections import Connections
from app.sync.measured import measure
from ble.radio import Radio
from pairing.announcement import Service, hub_service
from pairing.discovery import Discovery, keep_announcing
from pairing.interfaces import LOOPBACK, Interfaces, own_addresses
from pairing.messages import Endpoint, HubCard

# An offer carries as many (pairing/PROTOCOL.md, "offer").
MAX_ENDPOINTS = 8
_log = structlog.get_logger("doorstep.node")


class Node:
    """`start` opens everything over `settings.data`; `asgi` and `short` answer from then on; `stop` closes in reverse.

    A start that fails closes what it had opened and raises what failed.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store: Store
        self.services: Services
        self.asgi: ASGIApp
        self.short: FastLane
        self.link_port = 0
        self.mqtt: MqttFaces | None = None
        self.radio: Radio
        self.discovery: Discovery
        self.metrics = Metrics()
        self._closing: list[Callable[[], Awaitable[None]]] = []

    async def start(self) -> None:
        """Open the store, load what is held in memory, begin what runs beside requests."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self.store = await open_store(self.settings.data)
        self._closing.append(self.store.close)
        self.store.listen(self.metrics.committed)
        await self._open_radio()
        self.services = Services(
            self.store,
            self.settings.limits,
            access_token_life=self.settings.access_token_life,
            is_cloud=self.settings.role == "cloud",
        )
        self._closing.append(self.services.stop)
        await self.services.start(self.settings.name)
        await self._reach_devices()
        counting = Counting(self.metrics)
        face = application(self.services, self.services.credentials, self.store.clock, counting)
        self.asgi = cast("ASGIApp", ObservedLayer(face.asgi, self.metrics, self._is_ready))
        self.short = face.short
        self._measure()

    async def _open_radio(self) -> None:
        """Before what uses it, so that it is closed after that: a session under way is kept, not failed."""
        stack = AsyncExitStack()
        self._closing.append(stack.aclose)
        self.radio = await stack.enter_async_context(opened_radio(self.settings))
        self.metrics.follow("radio_up", "Whether there is Bluetooth to use.", lambda: self.radio.state.usable)
        self.metrics.follow("radio_connections", "Bluetooth connections open now.", lambda: self.radio.in_use)

    async def _reach_devices(self) -> None:
        """Listen for paired devices, say so on the network, and take up the pairing sessions that were open."""
        settings, services, mesh = self.settings, self.services, self.services.mesh
        identity = await services.hub.identity()
        if settings.role == "cloud":
            # A cloud node stands in no home's network: devices reach it through their hubs, or over the internet.
            await services.onboarding.open([])
            if settings.mqtt:
                await self._speak_mqtt(services.mqtt, identity.hub_id)
            return
        interfaces = None if settings.lan else LOOPBACK
        link = LanLink(identity, services.lan.peer, services.lan, self.store.clock)
        self._closing.append(link.stop)
        self.metrics.follow("devices_linked", "Devices with a link now.", link.__len__)
        self.link_port = await _listen(link, settings.host, settings.link_port)
        services.lan.link = link
        where = partial(self._endpoints, interfaces)

        def card() -> HubCard | None:
            endpoints = where()
            return HubCard(identity.public, services.hub.view().name, endpoints) if endpoints else None

        # Before the first device can say hello: it is told by this.
        await services.hub_cards.open(card, services.sync.replica)
        self._link_over_bluetooth(link)
        if settings.mqtt is not False:
            await self._speak_mqtt(services.mqtt, identity.hub_id)
        await self._show_homes()
        self.discovery = await self._discover(hub_service(identity.hub_id, link_port=self.link_port), interfaces)
        offers = Offers(self.store, lambda: services.hub.view().name, where)
        browse, gateways = self.discovery.browse, services.lan.gateways
        await mesh.open(self.radio)
        self.metrics.follow("mesh_listeners", "Models of mesh nodes that listen to a group.", lambda: mesh.listeners)
        self.metrics.follow("mesh_group_messages", "Messages sent to mesh groups.", lambda: mesh.group_messages)
        methods = hub_methods(
            identity,
            offers,
            browse=browse,
            gateways=gateways,
            meshes=services.mesh,
            radio=self.radio,
            lan=settings.lan,
        )
        resumed = await services.onboarding.open(methods)
        if resumed:
            _log.info("pairing sessions resumed", count=resumed)

    def _endpoints(self, interfaces: Interfaces) -> tuple[Endpoint, ...]:
        """Where devices link to this hub, as it is now."""
        return tuple((address, self.link_port) for address in own_addresses(interfaces)[:MAX_ENDPOINTS])

    async def _show_homes(self) -> None:
        """Be the gateway of homes at platforms that speak IoTDA."""
        connections = Connections(self.store, self.services.upstreams)
        self._closing.append(connections.stop)
        await connections.start()
        follow = self.metrics.follow
        follow("iotda_upstreams_connected", "Homes shown to another platform now.", connections.__len__)
        follow("iotda_upstream_batches", "Batches of reports sent to other platforms.", lambda: connections.batches)
        follow("iotda_upstream_failures", "Connections lost or not made.", lambda: connections.failures)

    def _link_over_bluetooth(self, link: LanLink) -> None:
        over_bluetooth = BleLinks(self.radio, link, self.services.lan.over_bluetooth)
        over_bluetooth.start()
        self._closing.append(over_bluetooth.stop)
        self.services.lan.on_missed = over_bluetooth.wanted
        sensors = SensorLink(self.radio, self.services.devices, self.store)
        sensors.start()
        self._closing.append(sensors.stop)
        self.metrics.follow("sensor_adverts_unread", "Advertisements of sensors not read.", lambda: sensors.unread)

    async def _speak_mqtt(self, speakers: Speakers, hub_id: str) -> None:
        self.mqtt = MqttFaces(self.store, self.settings, speakers, hub_id)
        self._closing.append(self.mqtt.close)
        await self.mqtt.open()
        self.metrics.follow("mqtt_clients", "MQTT clients connected now.", self.mqtt.__len__)
        if (broker := self.mqtt.broker) is not None:
            follow = self.metrics.follow
            follow("mqtt_broker_up", "Whether the MQTT broker is connected now.", broker.connected.is_set)
            follow("mqtt_broker_failures", "MQTT broker connections lost or not made.", lambda: broker.failures)
        if (endpoint := self.mqtt.endpoint) is not None:
            self.metrics.follow("mqtt_messages", "MQTT messages heard.", lambda: endpoint.intake.messages)
            self.metrics.follow("mqtt_declined", "MQTT messages not taken.", lambda: endpoint.intake.declined)
            for what in ("connected", "refused", "turned_away", "broken"):
                text = f"MQTT connections {what.replace('_', ' ')}, since the start."
                self.metrics.follow(f"mqtt_connections_{what}", text, partial(endpoint.counts.__getitem__, what))

    async def _discover(self, own: Service, interfaces: Interfaces) -> Discovery:
        """Announce the hub and hear devices, also over Bluetooth, from now on or as soon as there is a network."""
        news = InboxNews(self.store, self.services.standings, self.services.onboarding.inbox)
        news.start()
        self._closing.append(news.stop)
        discovery = Discovery(interfaces, on_heard=news.saw, on_gone=news.gone)
        stack = AsyncExitStack()
        self._closing.append(stack.aclose)
        stack.callback(self.radio.listen(news.overheard))
        await stack.enter_async_context(keep_announcing(own, interfaces))
        await stack.enter_async_context(discovery)
        if not discovery.listening:
            # Devices that know the hub's address still find it; those that do not must wait for a network.
            _log.warning("there is no network to find devices on yet")
        return discovery

    def _measure(self) -> None:
        self.metrics.follow("devices_calling_home", "Devices whose heartbeats come.", self.services.heartbeats.__len__)
        self.metrics.follow("event_streams", "Event streams open now.", lambda: self.services.bus.streams)
        self.metrics.follow("writes_waiting", "Acts that wait for the writer.", lambda: self.store.status().waiting)
        self.metrics.follow("log_bytes", "Size of the write-ahead log.", lambda: self.store.status().wal_bytes)

        services = self.services
        measure(
            self.metrics,
            services.sync,
            traffic=services.clouds.traffic,
            streams=services.hub_streams,
            clock=self.store.clock,
        )

    def _is_ready(self) -> bool:
        """It started, and its last write reached the disk."""
        return not self.store.status().failing

    def end_streams(self) -> None:
        """Tell every event stream that the hub stops, so that closing need not wait for them."""
        self.services.bus.close()

    async def stop(self) -> None:
        """Close everything; safe after a start that failed."""
        while self._closing:
            await self._closing.pop()()


async def _listen(link: LanLink, host: str, port: int) -> int:
    try:
        return await link.start(host, port)
    except OSError as error:
        raise AddressUnusable(
            f"Port {port} on {host}, for devices, is in use; choose another with --link-port (0: any)."
        ) from error
