"""What sync keeps the same of all nouns, and with which hubs: beside `app.services`, for its length."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING

from app.caller import Caller
from app.devices.credential_model import NewRegistration
from app.devices.model import Device
from app.devices.names_replica import NameFacts
from app.devices.replica import DeviceFacts
from app.devices.users_replica import DeviceUserFacts
from app.groups.replica import GroupFacts
from app.homes.queries import has_home
from app.homes.replica import HomeFacts, RoomFacts
from app.homes.replica_people import InvitationFacts, MemberFacts
from app.onboarding.networks_replica import NetworkFacts
from app.sharing.replica import ShareFacts
from app.store.store import Store
from app.store.tx import Reader, Tx
from app.sync import hub_cards, queries
from app.sync.authority import Authority
from app.sync.enrolment import queries as enrolment_queries
from app.sync.enrolment.hubs import Hubs
from app.sync.enrolment.joined import Cloud, CloudState
from app.sync.enrolment.service import Enrolment
from app.sync.kinds import Kind
from app.sync.line import Traffic
from app.sync.lines import CloudLines, SocketLine
from app.sync.model import NOBODY, Part
from app.sync.sealing.facts import HomeKeyFacts, SecretFacts
from app.sync.sealing.keeping import HomeKeys
from app.sync.sealing.places import AtTheHub, refuse_of_homes
from app.sync.sealing.ring import Ring
from app.sync.sealing.service import Sealing
from app.sync.service import Sync

if TYPE_CHECKING:
    from app.services import Services


def facts_of(services: "Services") -> list[Kind]:
    """Every kind of fact that has tables."""
    return [
        HomeFacts(services.homes),
        MemberFacts(services.people, services.members),
        RoomFacts(services.rooms),
        NetworkFacts(services.networks),
        DeviceFacts(services.devices),
        NameFacts(services.devices.memory),
        DeviceUserFacts(),
        GroupFacts(services.groups),
        ShareFacts(services.people, services.ledger, services.sharable),
        InvitationFacts(services.people, services.invitations),
        HomeKeyFacts(services.sealing.keys.ring),
        services.sealing.keys.facts,
    ]


class Clouds:
    """A hub and its cloud, over time: the talk begins once the hub is enrolled, and ends with that."""

    def __init__(self, enrolment: Enrolment, sync: Sync) -> None:
        self._enrolment = enrolment
        self._sync = sync
        self.traffic = Traffic()
        self._ending: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Go on where the last life of the hub was."""
        self._enrolment.door.on_enrolled.append(self._enrolled)
        self._enrolment.door.on_left.append(self._left)
        self._enrolment.joined.on_changed.append(self._changed)
        self._sync.sent_away = self._sent_away
        if self._enrolment.door.cloud_id is not None:
            self._enrolled()

    async def stop(self) -> None:
        """End the talk; what waits, waits on disk."""
        await self._sync.stop()
        if self._ending:
            await asyncio.wait(self._ending)

    def _enrolled(self) -> None:
        cloud = self._enrolment.joined.enrolled
        if cloud is not None:
            self._sync.join(cloud.id, cloud.name, CloudLines(self._enrolment.door, self.traffic)).start()

    def _sent_away(self) -> str:
        cloud = self._enrolment.joined.current
        states = {CloudState.REVOKED: "has revoked this hub", CloudState.SUPERSEDED: "speaks to a restored copy of it"}
        return f"{cloud.name} {states[cloud.state]}" if cloud is not None and cloud.state in states else ""

    def _left(self) -> None:
        """The hub is out: sent away, it keeps what it has, and is told so; by its own owner, see `_changed`."""
        if self._enrolment.joined.current is not None:
            self._end(self._sync.close())

    def _changed(self, _: Cloud | None, new: Cloud | None) -> None:
        """Its owner wants no cloud any more, be it that it was sent away before: the homes are this hub's alone."""
        if new is None:
            self._end(self._sync.leave_cloud())

    def _end(self, ending: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(ending, name="sync-leaving")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def sealing_of(services: "Services", *, is_cloud: bool) -> Sealing:
    """What seals a home's secrets, and at a cloud keeps them out of the vault."""
    store, devices = services.store, services.devices
    if is_cloud:
        store.vault.on_keep = refuse_of_homes
        devices.credentials.on_registered.append(_only_where_no_hub_is)
    ring = Ring(store.vault)
    told = {
        "bindings/": lambda tx, hardware_id: devices.memory.rebond_in(tx, [hardware_id]),
        "device-secrets/": lambda tx, rest: devices.credentials.told_in(tx, rest.partition("/")[0]),
        "sensors/": devices.sensors.told_in,
        hub_cards.BEGINNING: services.hub_cards.told_in,
    }
    facts = SecretFacts(store.vault, ring, told, is_cloud=is_cloud)
    keys = HomeKeys(ring, facts, services.people.account_of_in, services.readers, is_cloud=is_cloud)
    return Sealing(store, services.standings, keys, is_cloud=is_cloud)


def _only_where_no_hub_is(tx: Tx, by: Caller, device: Device, new: NewRegistration) -> None:
    """A cloud lets devices in by itself only in homes that no hub keeps: else it would know a secret of theirs."""
    if queries.shared(tx, device.home_id) is not None:
        raise AtTheHub


class HubsLeaving:
    """At a cloud: a hub that serves a home no longer is none of its hubs, so that the others key it out."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def detached_in(self, tx: Tx, hub_id: str, home_id: str) -> None:
        """From now on."""
        its = (("hub", hub_id), ("secret", hub_cards.place_of(home_id, hub_id)))
        known = ((kind, entity_id, queries.entity(tx, home_id, kind, entity_id)) for kind, entity_id in its)
        gone = [Part(kind, entity_id, "del") for kind, entity_id, it in known if it is not None and it.dead is None]
        if gone:
            self._authority.local_in(tx, home_id, NOBODY, gone)


def cloud_of(services: "Services") -> dict[str, object] | None:
    """This hub's cloud and the way to it, for the doctor; None: it has none."""
    cloud, engine = services.enrolment.joined.current, services.sync.engine
    if cloud is None:
        return None
    line, talk = (None, None) if engine is None else (engine.line, engine.talk)
    way = None if line is None else "websocket" if isinstance(line, SocketLine) else "requests"
    facts = {"name": cloud.name, "url": cloud.url, "state": cloud.state.value, "pinned": cloud.pin is not None}
    return {**facts, "way": way, "problem": "" if talk is None else talk.why}


class HubsServing:
    """`app.sync.cloud_end.Serving` over the hubs of this cloud."""

    def __init__(self, store: Store, hubs: Hubs) -> None:
        self._store = store
        self._hubs = hubs

    def serves(self, hub_id: str, home_id: str) -> bool:
        """From memory."""
        return self._hubs.serves(hub_id, home_id)

    def homes_of(self, hub_id: str) -> list[str]:
        """From memory."""
        return self._hubs.homes_of(hub_id)

    def hubs_of(self, home_id: str) -> list[str]:
        """From memory."""
        return self._hubs.hubs_of(home_id)

    def attach_in(self, tx: Tx, hub_id: str, home_id: str) -> None:
        """From now on; raises NotFound, Revoked, TooMany."""
        self._hubs.attach_in(tx, hub_id, home_id)

    def may_found_in(self, tx: Tx, hub_id: str, home_id: str) -> bool:
        """Whether no home of this id is here."""
        return not has_home(tx, home_id)

    def speaks_as(self, tx: Tx, hub_id: str, home_id: str, node: str) -> bool:
        """A node belongs to whom it was first heard from in a home; one that is new belongs to who says it."""
        known = queries.node(tx, home_id, node)
        return known is None or known.hub_id in (None, hub_id)

    def restated_in(self, reader: Reader, hub_id: str, home_id: str) -> str | None:
        """The epoch of the log in which it has said all it had."""
        return enrolment_queries.restated(reader, hub_id, home_id)

    def has_restated_in(self, tx: Tx, hub_id: str, home_id: str, epoch: str) -> None:
        """It has, in this one."""
        enrolment_queries.set_restated(tx, hub_id, home_id, epoch)
