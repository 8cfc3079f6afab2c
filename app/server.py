"""Builds the application: routes, and the layers around them, over the services."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cache
from typing import Final

from litestar import Litestar, Router
from litestar.config.response_cache import ResponseCacheConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from app.accounts.keys_routes import ROUTER as KEY_ROUTES
from app.accounts.linking_routes import ROUTER as LINKING_ROUTES
from app.accounts.my_routes import ROUTER as MY_ROUTES
from app.accounts.routes import ROUTER as SIGN_IN_ROUTES
from app.clock import Clock
from app.companion.conditions import ApiRequest, caller_of
from app.companion.declared import require_actions
from app.companion.docs import ROUTER as DOCS_ROUTES
from app.companion.fast import FastLane
from app.companion.layers import Authenticator, DeclaredLayer, Face, FrontLayer, to_response
from app.companion.limits import LimitLayer
from app.companion.observed import Counting
from app.control.routes import ROUTER as CONTROL_ROUTES
from app.devices.credential_routes import ROUTER as CREDENTIAL_ROUTES
from app.devices.reset_routes import ROUTER as RESET_ROUTES
from app.devices.routes import ROUTER as DEVICE_ROUTES
from app.dialects.bota.routes import ROUTER as BOTA_ROUTES
from app.dialects.tuya.routes import ROUTER as TUYA_ROUTES
from app.events.routes import ROUTER as EVENT_ROUTES
from app.groups.routes import ROUTER as GROUP_ROUTES
from app.homes.invitations_routes import ROUTER as INVITATION_ROUTES
from app.homes.joining_routes import ROUTER as JOINING_ROUTES
from app.homes.members_routes import ROUTER as MEMBER_ROUTES
from app.homes.rooms_routes import ROUTER as ROOM_ROUTES
from app.homes.routes import ROUTER as HOME_ROUTES
from app.journal.routes import ROUTER as JOURNAL_ROUTES
from app.links.heartbeat import routes as heartbeat
from app.links.iotda.https import ROUTER as IOTDA_ROUTES
from app.links.iotda.routes import DEVICE_ROUTER as IOTDA_DEVICE_ROUTES
from app.links.iotda.routes import ROUTER as UPGRADE_ROUTES
from app.links.mesh.routes import ROUTER as MESH_ROUTES
from app.onboarding.networks_routes import ROUTER as NETWORK_ROUTES
from app.onboarding.rewiring_routes import ROUTER as REWIRING_ROUTES
from app.onboarding.routes import ROUTER as PAIRING_ROUTES
from app.services import Services
from app.sharing.receiving_routes import ROUTER as RECEIVING_ROUTES
from app.sharing.routes import ROUTER as SHARING_ROUTES
from app.sync.enrolment.face import ROUTER as SYNC_ROUTES
from app.sync.enrolment.face import SyncFace
from app.sync.enrolment.routes import ROUTER as ENROLMENT_ROUTES
from app.sync.iotda.routes import ROUTER as UPSTREAM_ROUTES
from app.sync.routes import ROUTER as KEPT_SAME_ROUTES
from app.sync.sealing.routes import ROUTER as SEALING_ROUTES
from app.sync.stream import ROUTER as STREAM_ROUTES

ROUTERS = (
    SIGN_IN_ROUTES,
    MY_ROUTES,
    KEY_ROUTES,
    LINKING_ROUTES,
    HOME_ROUTES,
    ROOM_ROUTES,
    MEMBER_ROUTES,
    INVITATION_ROUTES,
    JOINING_ROUTES,
    SHARING_ROUTES,
    RECEIVING_ROUTES,
    DEVICE_ROUTES,
    CREDENTIAL_ROUTES,
    RESET_ROUTES,
    heartbeat.API_ROUTER,
    UPGRADE_ROUTES,
    CONTROL_ROUTES,
    PAIRING_ROUTES,
    MESH_ROUTES,
    UPSTREAM_ROUTES,
    NETWORK_ROUTES,
    REWIRING_ROUTES,
    GROUP_ROUTES,
    JOURNAL_ROUTES,
    EVENT_ROUTES,
    ENROLMENT_ROUTES,
    KEPT_SAME_ROUTES,
    SEALING_ROUTES,
    DOCS_ROUTES,
)

# What routes ask for by name, besides the caller.
_INSTANCES: Final[Mapping[str, Callable[[Services], object]]] = {
    "digests": lambda it: it.digests,
    "hub": lambda it: it.hub,
    "sessions": lambda it: it.sessions,
    "signing_in": lambda it: it.signing_in,
    "accounts": lambda it: it.accounts,
    "keys": lambda it: it.keys,
    "screens": lambda it: it.screens,
    "proving": lambda it: it.proving,
    "linking": lambda it: it.linking,
    "readers": lambda it: it.readers,
    "homes": lambda it: it.homes,
    "rooms": lambda it: it.rooms,
    "members": lambda it: it.members,
    "invitations": lambda it: it.invitations,
    "joining": lambda it: it.joining,
    "sharing": lambda it: it.sharing,
    "receiving": lambda it: it.receiving,
    "devices": lambda it: it.devices,
    "control": lambda it: it.control,
    "onboarding": lambda it: it.onboarding,
    "networks": lambda it: it.networks,
    "mesh_moving": lambda it: it.mesh_moving,
    "upstreams": lambda it: it.upstreams,
    "rewiring": lambda it: it.rewiring,
    "groups": lambda it: it.groups,
    "bota": lambda it: it.bota,
    "heartbeats": lambda it: it.heartbeats,
    "iotda_https": lambda it: it.iotda.https,
    "iotda_packages": lambda it: it.iotda.packages,
    "iotda_upgrades": lambda it: it.iotda.upgrades,
    "iotda_files": lambda it: it.iotda.files,
    "iotda_configs": lambda it: it.iotda.configs,
    "tuya": lambda it: it.tuya,
    "sealing": lambda it: it.sealing,
    "hubs": lambda it: it.enrolment.hubs,
    "hub_sessions": lambda it: it.enrolment.sessions,
    "cloud_end": lambda it: it.enrolment.cloud_end,
    "hub_end": lambda it: it.enrolment.hub_end,
    "hub_streams": lambda it: it.hub_streams,
    "sync": lambda it: it.sync,
    "trail": lambda it: it.trail,
    "bus": lambda it: it.bus,
}
_given: ContextVar[Mapping[str, object]] = ContextVar("given")


class Application(Struct, frozen=True):
    """A hub's face: the ASGI layers around Litestar, and the short way below them for the hottest routes."""

    asgi: ASGIApp
    short: FastLane


def application(
    services: Services, authenticator: Authenticator, clock: Clock, counting: Counting | None = None
) -> Application:
    """The whole of it."""
    proved = services.tuya.gate(_of_node(services, authenticator), services.limits.body_bytes)
    limited = LimitLayer(proved, services.limits)
    faces: list[Face] = [
        services.iotda.https,
        heartbeat.HeartbeatFace(services.heartbeats),
        services.bota,
        services.tuya.face,
        SyncFace(services.enrolment.hubs, services.enrolment.tokens, clock),
    ]
    front = FrontLayer(limited, authenticator, clock, counting, faces)
    lane = FastLane(
        front,
        limited,
        services.devices,
        services.control,
        body_bytes=services.limits.body_bytes,
        count=None if counting is None else counting.add,
    )
    return Application(front, lane)


@cache
def litestar_of(*, is_cloud: bool, body_bytes: int) -> Litestar:
    """Every route; raises UndeclaredRoute. What a request needs is of the node that it came to (`_of_node`), so that
    the many nodes of one process, a test's, have this in common: making it takes longer than all the rest of a node.
    """
    litestar = Litestar(
        route_handlers=[
            Router("/api", route_handlers=ROUTERS),
            IOTDA_ROUTES,
            IOTDA_DEVICE_ROUTES,
            heartbeat.ROUTER,
            BOTA_ROUTES,
            TUYA_ROUTES,
            SYNC_ROUTES,
            STREAM_ROUTES,
        ],
        dependencies={"caller": Provide(caller_of)} | {name: _Given(name) for name in ("authenticator", *_INSTANCES)},
        middleware=[DeclaredLayer],
        request_class=ApiRequest,
        exception_handlers={Exception: to_response},
        request_max_body_size=body_bytes,
        response_cache_config=ResponseCacheConfig(default_expiration=0),
        openapi_config=None,
        logging_config=None,  # app.logs decides where logs go
        debug=False,
        state=State({"is_cloud": is_cloud}),
    )
    require_actions(litestar)
    return litestar


def _of_node(services: Services, authenticator: Authenticator) -> ASGIApp:
    """The routes, with what a request needs from these services."""
    litestar = litestar_of(is_cloud=services.sealing.is_cloud, body_bytes=services.limits.body_bytes)
    given = {name: of(services) for name, of in _INSTANCES.items()} | {"authenticator": authenticator}

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        token = _given.set(given)
        try:
            await litestar(scope, receive, send)
        finally:
            _given.reset(token)

    return asked


class _Given(Provide):
    """An instance of the node that is asked. Litestar compares each with each, for every route: by identity."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, name: str) -> None:
        super().__init__(lambda: _given.get()[name], sync_to_thread=False)
