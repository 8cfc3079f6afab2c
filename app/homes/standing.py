"""What an account is to a home: from memory for reads, from disk inside a write."""

from typing import Final

from app.homes import queries
from app.homes.model import Home, Member
from app.hours import zone_of
from app.policy import NOBODY, Actor, Resource, Role, Standing, Terms
from app.store.resident import Resident
from app.store.store import Store
from app.store.tx import Reader, Tx

MemberKey = tuple[str, str]
# A hub that hears nothing from its cloud honours guests for so long (app/sync/PROTOCOL.md 4): they may have been put
# out there meanwhile. Who lives in the home stays, for a home works for weeks without the internet.
GUESTS_LAPSE_MS: Final = 7 * 24 * 3_600_000


class Standings:
    """Keeps homes and members resident, and answers what somebody is to a home."""

    def __init__(self, store: Store) -> None:
        self.homes: Resident[str, Home] = Resident(lambda r: ((h.id, _in_zone(h)) for h in queries.all_homes(r)))
        self.members: Resident[MemberKey, Member] = Resident(
            lambda r: (((m.home_id, m.account_id), m) for m in queries.all_members(r))
        )
        # Of homes that have a cloud: when it was last heard from, ms.
        self.contacts: Resident[str, int] = Resident(queries.all_contacts)
        self.homes_of: dict[str, set[str]] = {}
        self.members_of: dict[str, set[str]] = {}
        self.members.watch(self._index)
        store.keep_resident(self.homes)
        store.keep_resident(self.members)
        store.keep_resident(self.contacts)

    def _index(self, key: MemberKey, old: Member | None, new: Member | None) -> None:
        home_id, account_id = key
        if old is None:
            self.homes_of.setdefault(account_id, set()).add(home_id)
            self.members_of.setdefault(home_id, set()).add(account_id)
        elif new is None:
            _forget(self.homes_of, account_id, home_id)
            _forget(self.members_of, home_id, account_id)

    def keep_home(self, tx: Tx, home: Home) -> None:
        """`home` is what others read once `tx` is on disk."""
        self.homes.put(tx, home.id, _in_zone(home))

    def home_ids_in(self, reader: Reader) -> list[str]:
        """All homes of this hub, from disk."""
        return [home.id for home in queries.all_homes(reader)]

    def take_away_in(self, tx: Tx, home_id: str) -> None:
        """Count that somebody lost rights in this home."""
        if (home := queries.raise_epoch(tx, home_id)) is not None:
            self.keep_home(tx, home)

    def of(self, actor: Actor, home_id: str) -> Standing:
        """From memory."""
        if actor.account_id is None:
            return NOBODY
        member = self.members.get((home_id, actor.account_id))
        return standing(member, self.homes.get(home_id), self.contacts.get(home_id))

    def of_in(self, reader: Reader, actor: Actor, home_id: str) -> Standing:
        """From disk: what a write goes by."""
        if actor.account_id is None:
            return NOBODY
        member = queries.member(reader, home_id, actor.account_id)
        return standing(member, queries.home(reader, home_id), queries.contact(reader, home_id))

    def owner_of(self, home_id: str) -> str | None:
        """The account that owns a home, from memory."""
        keys = ((home_id, account_id) for account_id in self.members_of.get(home_id, ()))
        found = (member for key in keys if (member := self.members.get(key)) is not None)
        return next((member.account_id for member in found if member.role is Role.OWNER), None)

    def home(self, actor: Actor, home_id: str) -> Resource:
        """The home itself as a resource, from memory."""
        return Resource(standing=self.of(actor, home_id), home_id=home_id)

    def home_in(self, reader: Reader, actor: Actor, home_id: str) -> Resource:
        """The home itself as a resource, from disk."""
        return Resource(standing=self.of_in(reader, actor, home_id), home_id=home_id)


def _in_zone(home: Home) -> Home:
    zone_of(home.time_zone)
    return home


def _forget(index: dict[str, set[str]], key: str, value: str) -> None:
    values = index.get(key, set())
    values.discard(value)
    if not values:
        index.pop(key, None)


def standing(member: Member | None, home: Home | None, contact: int | None) -> Standing:
    """What `member` is to `home`, whose cloud was last heard from at `contact` (ms; None: it has none)."""
    if member is None or home is None:
        return NOBODY
    until = ends(member.role, member.until, member.joined_at, contact)
    return Standing(role=member.role, terms=Terms(until, member.hours, home.time_zone), only=member.only)


def ends(role: Role, until: int | None, joined_at: int, contact: int | None) -> int | None:
    """When a membership ends by itself (ms): by its own terms, or a guest's because the cloud says nothing any more."""
    if role is not Role.GUEST or contact is None:
        return until
    lapse = max(contact, joined_at) + GUESTS_LAPSE_MS
    return lapse if until is None else min(until, lapse)
