"""When this hub and its cloud last spoke, on disk and for policy, which lets guests lapse without (PROTOCOL.md 4)."""

from typing import Final

from app.homes.standing import Standings
from app.store.store import Store
from app.store.tx import Tx
from app.sync import queries

# Between two notes on disk.
NOTED_EVERY_MS: Final = 30_000


class Contact:
    """Of all homes that one cloud orders."""

    def __init__(self, store: Store, standings: Standings, cloud_id: str) -> None:
        self._store = store
        self._standings = standings
        self._cloud_id = cloud_id
        self._noted: int | None = None

    def begun_in(self, tx: Tx, home_id: str) -> None:
        """A home has this cloud from now on, which is being spoken with."""
        self._note_in(tx, [home_id])

    async def heard(self) -> None:
        """The cloud has spoken now; kept for the case that it does not for long."""
        now = self._store.clock.now().ms
        if self._noted is None or abs(now - self._noted) >= NOTED_EVERY_MS:
            self._noted = now
            await self._store.write(self._heard_in)

    def _heard_in(self, tx: Tx) -> None:
        self._note_in(tx, [it.home_id for it in queries.all_shared(tx) if it.cloud_id == self._cloud_id])

    def _note_in(self, tx: Tx, home_ids: list[str]) -> None:
        for home_id in home_ids:
            queries.note_contact(tx, home_id, tx.now)
            self._standings.contacts.put(tx, home_id, tx.now)
