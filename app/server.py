"""Builds the application: routes, and the layers around them, over the services."""

from typing import Any

from litestar import Litestar, Router
from litestar.config.response_cache import ResponseCacheConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp
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


class Application(Struct, frozen=True):
    """A hub's face: the ASGI layers around Litestar, and the short way below them for the hottest routes."""

    asgi: ASGIApp
    short: FastLane


def application(
    services: Services, authenticator: Authenticator, clock: Clock, counting: Counting | None = None
) -> Application:
    """The whole of it."""
    proved = services.tuya.gate(litestar_of(services, authenticator), services.limits.body_bytes)
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


def litestar_of(services: Services, authenticator: Authenticator) -> Litestar:
    """Every route with what it needs; raises UndeclaredRoute."""
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
        dependencies={
            "caller": Provide(caller_of),
            "authenticator": _instance(authenticator),
            "digests": _instance(services.digests),
            "hub": _instance(services.hub),
            "sessions": _instance(services.sessions),
            "signing_in": _instance(services.signing_in),
            "accounts": _instance(services.accounts),
            "keys": _instance(services.keys),
            "screens": _instance(services.screens),
            "proving": _instance(services.proving),
            "linking": _instance(services.linking),
            "readers": _instance(services.readers),
            "homes": _instance(services.homes),
            "rooms": _instance(services.rooms),
            "members": _instance(services.members),
            "invitations": _instance(services.invitations),
            "joining": _instance(services.joining),
            "sharing": _instance(services.sharing),
            "receiving": _instance(services.receiving),
            "devices": _instance(services.devices),
            "control": _instance(services.control),
            "onboarding": _instance(services.onboarding),
            "networks": _instance(services.networks),
            "mesh_moving": _instance(services.mesh_moving),
            "upstreams": _instance(services.upstreams),
            "rewiring": _instance(services.rewiring),
            "groups": _instance(services.groups),
            "bota": _instance(services.bota),
            "heartbeats": _instance(services.heartbeats),
            "iotda_https": _instance(services.iotda.https),
            "iotda_packages": _instance(services.iotda.packages),
            "iotda_upgrades": _instance(services.iotda.upgrades),
            "iotda_files": _instance(services.iotda.files),
            "iotda_configs": _instance(services.iotda.configs),
            "tuya": _instance(services.tuya),
            "sealing": _instance(services.sealing),
            "hubs": _instance(services.enrolment.hubs),
            "hub_sessions": _instance(services.enrolment.sessions),
            "cloud_end": _instance(services.enrolment.cloud_end),
            "hub_end": _instance(services.enrolment.hub_end),
            "hub_streams": _instance(services.hub_streams),
            "sync": _instance(services.sync),
            "trail": _instance(services.trail),
            "bus": _instance(services.bus),
        },
        middleware=[DeclaredLayer],
        request_class=ApiRequest,
        exception_handlers={Exception: to_response},
        request_max_body_size=services.limits.body_bytes,
        response_cache_config=ResponseCacheConfig(default_expiration=0),
        openapi_config=None,
        logging_config=None,  # app.logs decides where logs go
        debug=False,
        state=State({"is_cloud": services.sealing.is_cloud}),
    )
    require_actions(litestar)
    return litestar


def _instance(service: Any) -> Provide:
    return Provide(lambda: service, sync_to_thread=False)
