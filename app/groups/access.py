"""What somebody is to a group: a member of its home, or the receiver of a share of it; and the groups of a device."""

from collections.abc import Iterator

from app.devices.access import Access
from app.groups import queries
from app.groups.model import Group
from app.policy import Actor, Resource
from app.store.resident import Resident
from app.store.store import Store
from app.store.tx import Reader


class GroupAccess:
    """Groups, kept resident, as resources."""

    def __init__(self, store: Store, access: Access) -> None:
        self._access = access
        self.groups: Resident[str, Group] = Resident(lambda r: ((it.id, it) for it in queries.all_groups(r)))
        self._of_device: dict[str, set[str]] = {}
        self._of_home: dict[str, set[str]] = {}
        self.groups.watch(self._index)
        store.keep_resident(self.groups)

    def _index(self, group_id: str, old: Group | None, new: Group | None) -> None:
        _reindex(self._of_device, group_id, old.devices if old else (), new.devices if new else ())
        _reindex(self._of_home, group_id, (old.home_id,) if old else (), (new.home_id,) if new else ())

    def of_home(self, home_id: str) -> Iterator[Group]:
        """The groups of a home in order of id, which is that of their making."""
        return (it for group_id in sorted(self._of_home.get(home_id, ())) if (it := self.groups.get(group_id)))

    def groups_of(self, device_id: str) -> tuple[str, ...]:
        """The groups a device is in."""
        return tuple(self._of_device.get(device_id, ()))

    def groups_of_in(self, reader: Reader, device_id: str) -> tuple[str, ...]:
        """The groups a device is in, from disk."""
        return queries.groups_of(reader, device_id)

    def group(self, actor: Actor, group_id: str) -> Resource:
        """From memory. A group that does not exist is nobody's."""
        it = self.groups.get(group_id)
        if it is None:
            return Resource()
        things = (group_id,)
        standing = self._access.shared(actor, self._access.standings.of(actor, it.home_id), things)
        return Resource(standing, it.home_id, things, it.least)

    def group_in(self, reader: Reader, actor: Actor, group_id: str) -> Resource:
        """From disk: what a write goes by."""
        found = queries.home_of(reader, group_id)
        if found is None:
            return Resource()
        home_id, least = found
        things = (group_id,)
        member = self._access.standings.of_in(reader, actor, home_id)
        return Resource(self._access.shared_in(reader, actor, member, things), home_id, things, least)

    # As sharing asks about a thing.
    resource = group
    resource_in = group_in

    def name_of(self, group_id: str) -> str:
        """What it is called; empty when there is none."""
        it = self.groups.get(group_id)
        return "" if it is None else it.name


def _reindex(index: dict[str, set[str]], group_id: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
    for key in set(before) - set(after):
        index[key].discard(group_id)
        if not index[key]:
            del index[key]
    for key in after:
        index.setdefault(key, set()).add(group_id)
