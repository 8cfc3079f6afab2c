"""Everything this API needs of a hub, and what it keeps itself."""

from collections.abc import Callable
from typing import Final

from litestar.types import ASGIApp

from app.accounts.credentials import Credentials
from app.accounts.digests import DigestLogins
from app.caller import demand
from app.control.service import Control
from app.devices.service import Devices
from app.dialects.tuya.consuming import Consuming
from app.dialects.tuya.gate import TuyaFace, TuyaGate
from app.dialects.tuya.key_secrets import KeySecrets
from app.dialects.tuya.proving import Proving
from app.dialects.tuya.sessions import Sessions
from app.events.bus import Bus
from app.groups.service import Groups
from app.homes.invitations import Invitations
from app.homes.members import Members
from app.homes.rooms import Rooms
from app.homes.service import Homes
from app.homes.standing import Standings
from app.journal.trail import Trail
from app.onboarding.service import Onboarding
from app.policy import Action, Actor, allowed
from app.sharing.shares import Shares
from app.store.store import Store

# What a device is told as its own key has 16 characters there (specs/tuya/notes.md, 4).
LOCAL_KEY_OCTETS: Final = 8
_LOCAL_KEY: Final = b"tuya local key "


class Tuya:
    """The services that this API is a translation onto, each by its name among them.

    `address_of` says where a device is in the home's network; empty when it is not there.
    """

    def __init__(
        self,
        store: Store,
        *,
        credentials: Credentials,
        digests: DigestLogins,
        standings: Standings,
        homes: Homes,
        rooms: Rooms,
        members: Members,
        invitations: Invitations,
        devices: Devices,
        control: Control,
        groups: Groups,
        shares: Shares,
        onboarding: Onboarding,
        trail: Trail,
        bus: Bus,
        address_of: Callable[[str], str],
    ) -> None:
        self.store = store
        self.clock = store.clock
        self.credentials = credentials
        self.digests = digests
        self.standings = standings
        self.homes = homes
        self.rooms = rooms
        self.members = members
        self.invitations = invitations
        self.devices = devices
        self.control = control
        self.groups = groups
        self.shares = shares
        self.onboarding = onboarding
        self.trail = trail
        self.address_of = address_of
        self.sessions = Sessions(store)
        self.secrets = KeySecrets(store, credentials)
        self.consuming = Consuming(
            store,
            credentials=credentials,
            secrets=self.secrets,
            bus=bus,
            memory=devices.memory,
            catalogue=devices.catalogue,
        )
        self._proving = Proving(credentials, self.sessions, self.secrets, store.clock)
        self.face = TuyaFace(self._proving)
        credentials.on_ended.append(self.sessions.key_ended)

    def gate(self, app: ASGIApp, body_bytes: int) -> TuyaGate:
        """What stands in front of `app`, the routes."""
        return TuyaGate(app, self._proving, body_bytes)

    def start_housekeeping(self) -> None:
        """Have what nobody uses removed; the store must be open."""
        self.sessions.start_housekeeping()

    def local_key(self, hardware_id: str) -> str:
        """What a piece of hardware has as its own key, the same for ever; nothing of this hub's opens with it."""
        return self.store.vault.mac(_LOCAL_KEY + hardware_id.encode())[:LOCAL_KEY_OCTETS].hex()

    def may(self, actor: Actor, action: Action, device_id: str) -> bool:
        """Whether `actor` may do it with a device now."""
        return allowed(actor, action, self.devices.access.device(actor, device_id), self.clock.now()).yes

    def demand(self, actor: Actor, action: Action, device_id: str) -> None:
        """Raises NotFound, Refused or ClockUntrusted unless they may."""
        demand(actor, action, self.devices.access.device(actor, device_id), self.clock.now())
