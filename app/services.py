"""Every service of a hub, built over one store, and what they tell each other: the only place that wires nouns."""

from app.accounts.attempts import Allowance
from app.accounts.credentials import Credentials
from app.accounts.digests import DigestLogins
from app.accounts.hub import Hub
from app.accounts.keys import Keys
from app.accounts.linking import Linking
from app.accounts.passwords import Passwords
from app.accounts.people import People
from app.accounts.proving import Proving
from app.accounts.readers import Readers
from app.accounts.screens import Screens
from app.accounts.service import Accounts
from app.accounts.sessions import Sessions
from app.accounts.signing_in import SigningIn
from app.caller import Caller
from app.control.service import Control
from app.devices.model import Device
from app.devices.product.catalogue import built_in
from app.devices.service import Devices
from app.dialects.bota.service import Bota
from app.dialects.tuya.service import Tuya
from app.events.bus import Bus
from app.events.resolver import Resolver
from app.events.rights import follow_homes, follow_shares
from app.groups.model import Group
from app.groups.service import Groups
from app.homes.code_tries import CodeTries
from app.homes.invitations import Invitations
from app.homes.joining import Joining
from app.homes.linked import LinkedMembers, named_in_homes
from app.homes.members import Members, homes_owned
from app.homes.recovered import tell_members_in
from app.homes.rooms import Rooms
from app.homes.service import Homes
from app.homes.standing import Standings
from app.journal.service import Journal
from app.journal.trail import Trail
from app.links.hearing import LanDevices
from app.links.heartbeat.service import Heartbeats
from app.links.iotda.service import Iotda
from app.links.mesh.moving import MeshMoving
from app.links.mesh.service import Mesh
from app.links.mqtt.faces import Speakers
from app.onboarding.networks import Networks
from app.onboarding.rewiring import Rewiring
from app.onboarding.service import Onboarding
from app.settings import Limits
from app.sharing.ledger import Ledger
from app.sharing.linked import LinkedShares
from app.sharing.model import Kind
from app.sharing.receiving import Receiving
from app.sharing.service import Sharing
from app.sharing.shares import Shares
from app.sharing.things import Things
from app.store.store import Store
from app.store.tx import Tx
from app.sync.enrolment.service import Enrolment
from app.sync.hub_cards import HubCards
from app.sync.iotda.service import Upstreams
from app.sync.service import Sync
from app.sync.stream import HubStreams
from app.sync.streams import Streams
from app.synced import Clouds, HubsLeaving, HubsServing, facts_of, sealing_of
from pairing.methods.mesh import JoinedNode

# Read with the program, as part of it: files are not read on the event loop.
PRODUCTS = built_in()


class Services:
    """Every service of a hub, built over one store."""

    def __init__(
        self, store: Store, limits: Limits | None = None, *, access_token_life: float = 900, is_cloud: bool = False
    ) -> None:
        self.store = store
        self.limits = limits or Limits()
        self.passwords = Passwords()
        self.credentials = Credentials(store)
        self.people = People(self.credentials)
        self.sessions = Sessions(store, self.credentials, round(access_token_life * 1000))
        self.accounts = Accounts(store, self.credentials, self.sessions)
        self.signing_in = _signing_in(self)
        self.digests = DigestLogins(store, self.credentials, self.signing_in, self.passwords)
        self.hub = Hub(store, self.accounts, self.sessions, self.signing_in, self.passwords)
        self.keys = Keys(store, self.credentials, self.accounts, self.sessions)
        self._let_in_otherwise()
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
        self.devices.access.granting, self.sharable["device"] = self.shares, self.devices.access
        self.groups = Groups(store, self.standings, self.devices.access)
        self.devices.access.grouping = self.sharable["group"] = self.groups.access
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
        self.upstreams = Upstreams(store, self.standings, self.devices, self.control, is_cloud=is_cloud)
        self.bota = Bota(store, self.credentials, self.devices)
        self.heartbeats = Heartbeats(store, self.devices, self.control)
        self.mqtt = Speakers(
            admission=self.iotda.admission,
            hearing=self.iotda.hearing,
            addressing=self.iotda.addressing,
            take_link=self.iotda.down.take_link,
            authorities=self.iotda.authorities,
        )
        self.enrolment = Enrolment(store, self.standings, self.tries, is_cloud=is_cloud)
        self._build_history()
        self._build_sealing(is_cloud=is_cloud)
        self._build_sync()
        self._introduce()

    def _build_sealing(self, *, is_cloud: bool) -> None:
        """The homes' secrets, and of these the cards by which devices know their hubs."""
        self.hub_cards = HubCards(self.store)
        self.devices.handing.hubs = self.lan.holding.cards = self.hub_cards
        self.hub_cards.on_changed.append(self.lan.cards_changed)
        self.sealing = sealing_of(self, is_cloud=is_cloud)

    def _build_history(self) -> None:
        """What was, and who is told of it; and the face that needs most of the others."""
        store = self.store
        self.trail = Trail(store, self.journal, self.devices.access)
        self.bus = Bus(store, Resolver(self.standings, self.sharable, self.shares), self.limits)
        self.tuya = Tuya(
            store,
            credentials=self.credentials,
            digests=self.digests,
            standings=self.standings,
            homes=self.homes,
            rooms=self.rooms,
            members=self.members,
            invitations=self.invitations,
            devices=self.devices,
            control=self.control,
            groups=self.groups,
            shares=self.shares,
            onboarding=self.onboarding,
            trail=self.trail,
            bus=self.bus,
            address_of=self.lan.address_of,
        )

    def _let_in_otherwise(self) -> None:
        """Without a password: by another screen, or by a key."""
        self.screens = Screens(self.store, self.accounts, self.sessions, self.hub)
        self.proving = Proving(self.store, self.sessions, self.signing_in, self.hub)
        self.linking = Linking(self.store, self.accounts, self.sessions, self.signing_in, self.proving)
        self.readers = Readers(self.store, self.sessions)

    def _build_sync(self) -> None:
        """What hubs and their cloud keep the same, and what goes between them beside."""
        store = self.store
        self.facts = facts_of(self)
        serving = HubsServing(store, self.enrolment.hubs)
        self.sync = Sync(
            store,
            self.facts,
            people=self.people,
            standings=self.standings,
            hubs=self.enrolment.hubs,
            serving=serving,
        )
        self.streams = Streams(
            store,
            devices=self.devices,
            control=self.control,
            people=self.people,
            capture=self.sync.capture,
            cloud_end=self.sync.cloud_end,
            serving=serving,
            behind=self.sync.behind,
        )
        self.sync.copies.on_ending.append(self.lan.home_ending_in)
        self.sync.copies.on_ending.append(self.streams.mirror_in.leaving_in)
        self.sync.copies.on_alone.append(self.hub_cards.let_go_in)
        self.sync.on_joined.append(self.hub_cards.plug)
        self.sync.on_joined.append(self.streams.plug)
        self.sync.on_left.append(self.streams.unplug)
        self.clouds = Clouds(self.enrolment, self.sync)
        self.hub_streams = HubStreams(self.sync.cloud_end, self.enrolment.hubs, self.enrolment.tokens, store.clock)

    def _introduce(self) -> None:
        """What nouns tell each other: handlers that run in the same transaction, in this order."""
        self.sealing.keys.attach(self.sync.replica)
        self.enrolment.hubs.on_detached.append(HubsLeaving(self.sync.authority).detached_in)
        follow_homes(self.bus, self.standings)
        follow_shares(self.bus, self.shares)
        self.signing_in.on_recovered.append(tell_members_in)
        self.signing_in.on_recovered.append(self.invitations.account_recovered_in)
        self.signing_in.on_recovered.append(self.ledger.account_recovered_in)
        self.signing_in.on_recovered.append(self.linking.account_recovered_in)
        self.signing_in.on_recovered.append(self.readers.account_recovered_in)
        self.linking.on_linked.append(LinkedMembers(self.standings).account_linked_in)
        self.linking.on_linked.append(LinkedShares(self.shares, self.ledger).account_linked_in)
        self.linking.on_linked.append(self.onboarding.account_linked_in)
        self.linking.on_linked.append(self.rewiring.account_linked_in)
        self.linking.on_linked.append(self.readers.account_linked_in)
        self.readers.on_changed.append(self.sealing.readers_changed_in)
        self.linking.on_linked.append(self.enrolment.hubs.account_linked_in)
        self.linking.needs.append(named_in_homes)
        self.homes.on_dissolving.append(self.rooms.home_dissolving_in)
        self.members.on_leaving.append(self.invitations.member_leaving_in)
        self.homes.on_dissolving.append(self.invitations.home_dissolving_in)
        self.accounts.needs.append(homes_owned)
        self.accounts.on_going.append(self.members.account_going_in)
        self.members.on_leaving.append(self.ledger.member_leaving_in)
        self.homes.on_dissolving.append(self.ledger.home_dissolving_in)
        self.accounts.on_going.append(self.ledger.account_going_in)
        self.accounts.on_going.append(self.enrolment.hubs.account_going_in)
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
        self.homes.on_dissolving.append(self.upstreams.home_dissolving_in)
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
        await self.sync.open()
        self.streams.open()
        self.sessions.start_housekeeping()
        self.accounts.start_housekeeping()
        self.keys.start_housekeeping()
        self.iotda.start_housekeeping()
        self.tuya.start_housekeeping()
        self.devices.resets.start_housekeeping()
        self.devices.absences.start_housekeeping()
        await self.hub.open(name)
        self.devices.memory.hub_id = self.hub.view().id
        await self.sealing.start()
        await self.devices.presence.resume()
        self.control.start()
        await self.rewiring.open()
        self.enrolment.start()
        self.clouds.start()

    async def stop(self) -> None:
        """End what runs by itself; the store is the caller's to close."""
        await self.clouds.stop()
        self.hub_streams.close()
        await self.enrolment.stop()
        await self.streams.close()
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
