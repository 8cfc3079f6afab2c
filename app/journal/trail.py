"""Shows the log of a device and the audit trail of a home to whoever may read them."""

from app.caller import demand
from app.devices.access import Access
from app.errors import NotFound
from app.journal import queries
from app.journal.model import AuditView, EntryView
from app.journal.queries import Wanted
from app.journal.service import Journal
from app.policy import Action, Actor
from app.store.store import Store


class Trail:
    """Each raises NotFound, Refused."""

    def __init__(self, store: Store, journal: Journal, access: Access) -> None:
        self._store = store
        self._journal = journal
        self._access = access

    async def of_device(
        self, actor: Actor, device_id: str, wanted: Wanted, limit: int, *, offset: int = 0
    ) -> list[EntryView]:
        """The newest entries first, of the device's stay in its home; on disk before they are shown.

        From one page to the next, `wanted.place` (the last id of the page before) misses nothing and repeats nothing.
        `offset` is for faces that number their pages: what is written meanwhile moves them, unless `wanted.before` is
        set.
        """
        home_id = self._home_of(actor, device_id)
        await self._journal.flush()
        return await self._store.read(lambda r: queries.entries(r, device_id, home_id, wanted, limit, offset=offset))

    async def count(self, actor: Actor, device_id: str, wanted: Wanted) -> int:
        """How many entries there are on all pages."""
        home_id = self._home_of(actor, device_id)
        await self._journal.flush()
        return await self._store.read(lambda r: queries.count(r, device_id, home_id, wanted))

    def _home_of(self, actor: Actor, device_id: str) -> str:
        resource = self._access.device(actor, device_id)
        demand(actor, Action.DEVICE_JOURNAL, resource, self._store.clock.now())
        if (home_id := resource.home_id) is None:
            raise NotFound
        return home_id

    async def of_home(self, actor: Actor, home_id: str, wanted: Wanted, limit: int) -> list[AuditView]:
        """The newest acts of people in a home first."""
        demand(actor, Action.AUDIT_READ, self._access.standings.home(actor, home_id), self._store.clock.now())
        return await self._store.read(lambda r: queries.audit(r, home_id, wanted, limit))
