"""Builds the application: the only place that wires things together."""

from typing import Any

from litestar import Litestar, Router
from litestar.config.response_cache import ResponseCacheConfig
from litestar.di import Provide
from litestar.types import ASGIApp
from msgspec import Struct

from app.accounts.attempts import Allowance
from app.accounts.credentials import Credentials
from app.accounts.hub import Hub
from app.accounts.keys import Keys
from app.accounts.keys_routes import ROUTER as KEY_ROUTES
from app.accounts.my_routes import ROUTER as MY_ROUTES
from app.accounts.passwords import Passwords
from app.accounts.routes import ROUTER as SIGN_IN_ROUTES
from app.accounts.screens import Screens
from app.accounts.service import Accounts
from app.accounts.sessions import Sessions
from app.accounts.signing_in import SigningIn
from app.caller import Caller
from app.clock import Clock
from app.companion import problems
from app.companion.conditions import ApiRequest, caller_of
from app.companion.declared import require_actions
from app.companion.docs import ROUTER as DOCS_ROUTES
from app.companion.fast import FastLane
from app.companion.layers import Authenticator, DeclaredLayer, Face, FrontLayer
from app.companion.limits import LimitLayer
from app.companion.observed import Counting
from app.control.routes import ROUTER as CONTROL_ROUTES
from app.control.service import Control
from app.devices.credential_routes import ROUTER as CREDENTIAL_ROUTES
from app.devices.model import Device
from app.devices.product.catalogue import built_in
from app.devices.reset_routes import ROUTER as RESET_ROUTES
from app.devices.routes import ROUTER as DEVICE_ROUTES
from app.devices.service import Devices
from app.dialects.bota.routes import ROUTER as BOTA_ROUTES
from app.dialects.bota.service import Bota
from app.events.bus import Bus
from app.events.resolver import Resolver
from app.events.rights import follow_homes, follow_shares
from app.events.routes import ROUTER as EVENT_ROUTES
from app.groups.model import Group
from app.groups.routes import ROUTER as GROUP_ROUTES
from app.groups.service import Groups
from app.homes.code_tries import CodeTries
from app.homes.invitations import Invitations
from app.homes.invitations_routes import ROUTER as INVITATION_ROUTES
from app.homes.joining import Joining
from app.homes.joining_routes import ROUTER as JOINING_ROUTES
from app.homes.members import Members, homes_owned
from app.homes.members_routes import ROUTER as MEMBER_ROUTES
from app.homes.recovered import tell_members_in
from app.homes.rooms import Rooms
from app.homes.rooms_routes import ROUTER as ROOM_ROUTES
from app.homes.routes import ROUTER as HOME_ROUTES
from app.homes.service import Homes
from app.homes.standing import Standings
from app.journal.routes import ROUTER as JOURNAL_ROUTES
from app.journal.service import Journal
from app.journal.trail import Trail
from app.links.hearing import LanDevices
from app.links.heartbeat import routes as heartbeat
from app.links.heartbeat.service import Heartbeats
from app.links.iotda.https import ROUTER as IOTDA_ROUTES
from app.links.iotda.routes import DEVICE_ROUTER as IOTDA_DEVICE_ROUTES
from app.links.iotda.routes import ROUTER as UPGRADE_ROUTES
from app.links.iotda.service import Iotda
from app.links.mesh.moving import MeshMoving
from app.links.mesh.routes import ROUTER as MESH_ROUTES
from app.links.mesh.service import Mesh
from app.links.mqtt.faces import Speakers
from app.onboarding.networks import Networks
from app.onboarding.networks_routes import ROUTER as NETWORK_ROUTES
from app.onboarding.rewiring import Rewiring
from app.onboarding.rewiring_routes import ROUTER as REWIRING_ROUTES
from app.onboarding.routes import ROUTER as PAIRING_ROUTES
from app.onboarding.service import Onboarding
from app.settings import Limits
from app.sharing.ledger import Ledger
from app.sharing.model import Kind
from app.sharing.receiving import Receiving
from app.sharing.receiving_routes import ROUTER as RECEIVING_ROUTES
from app.sharing.routes import ROUTER as SHARING_ROUTES
from app.sharing.service import Sharing
from app.sharing.shares import Shares
from app.sharing.things import Things
from app.store.store import Store
from app.store.tx import Tx
from pairing.methods.mesh import JoinedNode

# Read with the program, as part of it: files are not read on the event loop.
PRODUCTS = built_in()

ROUTERS = (
    SIGN_IN_ROUTES,
    MY_ROUTES,
    KEY_ROUTES,
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
    NETWORK_ROUTES,
    REWIRING_ROUTES,
    GROUP_ROUTES,
    JOURNAL_ROUTES,
    EVENT_ROUTES,
    DOCS_ROUTES,
)


class Services:
    """Every service of a hub, built over one store."""

    def __init__(self, store: Store, limits: Limits | None = None, *, access_token_life: float = 900) -> None:
        self.store = store
        self.limits = limits or Limits()
        self.passwords = Passwords()
        self.credentials = Credentials(store)
        self.sessions = Sessions(store, self.credentials, round(access_token_life * 1000))
        self.accounts = Accounts(store, self.credentials, self.sessions)
        self.signing_in = _signing_in(self)
        self.hub = Hub(store, self.accounts, self.sessions, self.signing_in, self.passwords)
        self.keys = Keys(store, self.credentials, self.accounts, self.sessions)
        self.screens = Screens(store, self.accounts, self.sessions, self.hub)
        self.standings = Standings(store)
        self.members = Members(store, self.standings)
        self.homes = Homes(store, self.standings, self.members)
        self.rooms = Rooms(store, self.standings)
        self.tries = CodeTries(store.clock, *_allowances(self.limits))
        self.invitations = Invitations(store, self.standings, self.members, self.accounts)
        self.joining = Joining(
            store,
            invitations=self.invitations,
            members=self.members,
            accounts=self.accounts,
            sessions=self.sessions,
            passwords=self.passwords,
            tries=self.tries,
        )
        self.sharable: dict[Kind, Things] = {}
        self.shares = Shares(store, self.standings)
        self.ledger = Ledger(
            standings=self.standings, shares=self.shares, sharable=self.sharable, accounts=self.accounts
        )
        self.sharing = Sharing(
            store, standings=self.standings, ledger=self.ledger, sharable=self.sharable, accounts=self.accounts
        )
        self.receiving = Receiving(
            store,
            standings=self.standings,
            ledger=self.ledger,
            sharable=self.sharable,
            accounts=self.accounts,
            sessions=self.sessions,
            tries=self.tries,
        )
        self.journal = Journal(store)
        self.devices = Devices(store, self.standings, PRODUCTS, self.journal)
        self.devices.access.granting = self.shares
        self.sharable["device"] = self.devices.access
        self.groups = Groups(store, self.standings, self.devices.access)
        self.devices.access.grouping = self.groups.access
        self.sharable["group"] = self.groups.access
        self.control = Control(store, self.devices, self.groups, self.journal)
        self.networks = Networks(store, self.standings)
        self.onboarding = Onboarding(store, self.standings, self.devices, self.networks)
        self.rewiring = Rewiring(store, self.standings, self.devices, self.networks)
        self.lan = LanDevices(self.devices, self.control)
        self.mesh = Mesh(store, self.devices, self.control, self.groups.access)
        self.mesh_moving = MeshMoving(store, self.standings, self.devices, self.groups.access, self.mesh)
        self.onboarding.unfold[JoinedNode] = self.mesh.devices_of
        self.rewiring.link, self.lan.on_network = self.lan, self.rewiring.heard
        self.iotda = Iotda(store, self.devices, self.control, self.journal)
        self.bota = Bota(store, self.credentials, self.devices)
        self.heartbeats = Heartbeats(store, self.devices, self.control)
        self.mqtt = Speakers(
            admission=self.iotda.admission,
            hearing=self.iotda.hearing,
            addressing=self.iotda.addressing,
            take_link=self.iotda.down.take_link,
            authorities=self.iotda.authorities,
        )
        self.trail = Trail(store, self.journal, self.devices.access)
        self.bus = Bus(store, Resolver(self.standings, self.sharable, self.shares), self.limits)
        follow_homes(self.bus, self.standings)
        follow_shares(self.bus, self.shares)
        self._introduce()

    def _introduce(self) -> None:
        """What nouns tell each other: handlers that run in the same transaction, in this order."""
        self.signing_in.on_recovered.append(tell_members_in)
        self.signing_in.on_recovered.append(self.invitations.account_recovered_in)
        self.signing_in.on_recovered.append(self.ledger.account_recovered_in)
        self.homes.on_dissolving.append(self.rooms.home_dissolving_in)
        self.members.on_leaving.append(self.invitations.member_leaving_in)
        self.homes.on_dissolving.append(self.invitations.home_dissolving_in)
        self.accounts.needs.append(homes_owned)
        self.accounts.on_going.append(self.members.account_going_in)
        self.members.on_leaving.append(self.ledger.member_leaving_in)
        self.homes.on_dissolving.append(self.ledger.home_dissolving_in)
        self.accounts.on_going.append(self.ledger.account_going_in)
        self.devices.on_leaving.append(self._device_leaving_in)
        self.members.on_leaving.append(self.onboarding.member_leaving_in)
        self.homes.on_dissolving.append(self.onboarding.home_dissolving_in)
        self.homes.on_dissolving.append(self.networks.home_dissolving_in)
        self.members.on_leaving.append(self.rewiring.member_leaving_in)
        self.homes.on_dissolving.append(self.rewiring.home_dissolving_in)
        self.devices.on_leaving.append(self.rewiring.device_leaving_in)
        self.devices.on_unbinding.append(self._device_unbinding_in)
        self.devices.on_unbinding.append(self.rewiring.device_leaving_in)
        self.members.known_things.append(self.devices.registry.known_in)
        self.members.known_things.append(self.groups.known_in)
        self.devices.on_leaving.append(self.groups.device_leaving_in)
        ended_too = (self._device_leaving_in, self.rewiring.device_leaving_in, self.groups.device_leaving_in)
        self.devices.transfers.on_moving.extend(ended_too)
        self.groups.on_leaving.append(self._group_leaving_in)
        self.homes.on_dissolving.append(self.groups.home_dissolving_in)
        self.homes.on_dissolving.append(self.mesh.home_dissolving_in)
        self.rooms.on_removing.append(self.devices.registry.room_removing_in)
        self.homes.on_dissolve_check.append(self.devices.registry.in_the_way_in)
        self.homes.on_dissolving.append(self.devices.registry.home_dissolving_in)
        self.credentials.on_ended.append(self.bus.credential_ended)
        self.hub.on_clock_set.append(self.bus.clock_changed)

    def _device_leaving_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """A device's shares end with its stay, and no guest's limits name it any more."""
        self.members.forget_thing_in(tx, device.home_id, device.id)
        self.ledger.thing_leaving_in(tx, by, device.id)

    def _device_unbinding_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """What was lent is in nobody's use any more; a guest of this home who may use it still may, once it is back."""
        self.ledger.thing_leaving_in(tx, by, device.id)

    def _group_leaving_in(self, tx: Tx, by: Caller, group: Group) -> None:
        """A group's shares end with it, and no guest's limits name it any more."""
        self.members.forget_thing_in(tx, group.home_id, group.id)
        self.ledger.thing_leaving_in(tx, by, group.id)

    async def start(self, name: str) -> None:
        """Load what is read from memory, found the hub as `name` at its first start, begin what runs by itself."""
        await self.store.load()
        self.sessions.start_housekeeping()
        self.accounts.start_housekeeping()
        self.keys.start_housekeeping()
        self.iotda.start_housekeeping()
        self.devices.resets.start_housekeeping()
        self.devices.absences.start_housekeeping()
        await self.hub.open(name)
        await self.devices.presence.resume()
        self.control.start()
        await self.rewiring.open()

    async def stop(self) -> None:
        """End what runs by itself; the store is the caller's to close."""
        await self.iotda.stop()
        await self.onboarding.close()
        await self.mesh.close()
        await self.rewiring.close()
        await self.control.stop()
        self.devices.close()
        self.bus.close()
        self.passwords.close()


def _signing_in(services: Services) -> SigningIn:
    per_account, per_address = _allowances(services.limits)
    return SigningIn(
        services.store,
        services.credentials,
        services.accounts,
        services.sessions,
        services.passwords,
        per_account=per_account,
        per_address=per_address,
    )


def _allowances(limits: Limits) -> tuple[Allowance, Allowance]:
    """How often somebody may be wrong: per account, per address."""
    window, tracked = limits.login_window, limits.tracked_peers
    return (
        Allowance(limits.login_attempts_per_account, window, tracked),
        Allowance(limits.login_attempts_per_address, window, tracked),
    )


class Application(Struct, frozen=True):
    """A hub's face: the ASGI layers around Litestar, and the short way below them for the hottest routes."""

    asgi: ASGIApp
    short: FastLane


def application(
    services: Services, authenticator: Authenticator, clock: Clock, counting: Counting | None = None
) -> Application:
    """The whole of it."""
    limited = LimitLayer(litestar_of(services, authenticator), services.limits)
    faces: list[Face] = [services.iotda.https, heartbeat.HeartbeatFace(services.heartbeats), services.bota]
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
        ],
        dependencies={
            "caller": Provide(caller_of),
            "authenticator": _instance(authenticator),
            "hub": _instance(services.hub),
            "sessions": _instance(services.sessions),
            "signing_in": _instance(services.signing_in),
            "accounts": _instance(services.accounts),
            "keys": _instance(services.keys),
            "screens": _instance(services.screens),
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
            "rewiring": _instance(services.rewiring),
            "groups": _instance(services.groups),
            "bota": _instance(services.bota),
            "heartbeats": _instance(services.heartbeats),
            "iotda_https": _instance(services.iotda.https),
            "iotda_packages": _instance(services.iotda.packages),
            "iotda_upgrades": _instance(services.iotda.upgrades),
            "iotda_files": _instance(services.iotda.files),
            "iotda_configs": _instance(services.iotda.configs),
            "trail": _instance(services.trail),
            "bus": _instance(services.bus),
        },
        middleware=[DeclaredLayer],
        request_class=ApiRequest,
        exception_handlers={Exception: problems.to_response},
        request_max_body_size=services.limits.body_bytes,
        response_cache_config=ResponseCacheConfig(default_expiration=0),
        openapi_config=None,
        logging_config=None,  # app.logs decides where logs go
        debug=False,
    )
    require_actions(litestar)
    return litestar


def _instance(service: Any) -> Provide:
    return Provide(lambda: service, sync_to_thread=False)
