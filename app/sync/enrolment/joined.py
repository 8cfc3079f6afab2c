"""At a hub: the cloud it is enrolled with, or has asked to be; from memory, and changed in transactions."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from app.policy import Action, Actor
from app.store.resident import Resident
from app.store.store import Store
from app.store.tx import Change, Reader, Tx

# In the vault: the private keys made for the enrolment (Ed25519, X25519), and what is waited for its end with.
KEY_ROW: Final = "cloud/key"
SEAL_ROW: Final = "cloud/seal"
SECRET_ROW: Final = "cloud/secret"  # noqa: S105 - where it stands
ROWS: Final = "cloud/"


class CloudState(StrEnum):
    """How a hub stands with its cloud. What follows `enrolled` ends it; a new code begins anew."""

    ASKED = "asked"
    ENROLLED = "enrolled"
    REFUSED = "refused"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"


class Cloud(Struct, frozen=True):
    """The cloud of this hub. `number` is what both ends showed; `enrolled_at` (ms) when it was asked, then taken in."""

    id: str
    url: str
    pin: str | None
    name: str
    state: CloudState
    enrolment_id: str | None
    number: str
    enrolled_at: int


class JoinedCloud:
    """The row. `on_changed` is told (old, new) of each change once it is on disk, on the event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: Resident[str, Cloud] = Resident(lambda reader: ((ONE, row) for row in _read(reader)))
        self.on_changed: list[Callable[[Cloud | None, Cloud | None], None]] = []
        store.keep_resident(self._rows)

    @property
    def current(self) -> Cloud | None:
        """The cloud, None where there is none."""
        return self._rows.get(ONE)

    @property
    def enrolled(self) -> Cloud | None:
        """The cloud once it has taken this hub in, and as long as it keeps it."""
        cloud = self.current
        return cloud if cloud is not None and cloud.state is CloudState.ENROLLED else None

    def current_in(self, reader: Reader) -> Cloud | None:
        """`current` as it is on disk."""
        return next(iter(_read(reader)), None)

    def keep_in(self, tx: Tx, actor: Actor, cloud: Cloud) -> None:
        """It is this one, as it is now, in the place of any other."""
        tx.run("DELETE FROM clouds")
        tx.run(
            "INSERT INTO clouds(id,url,pin,name,state,enrolment_id,number,enrolled_at) VALUES(?,?,?,?,?,?,?,?)",
            (
                cloud.id,
                cloud.url,
                cloud.pin,
                cloud.name,
                cloud.state.value,
                cloud.enrolment_id,
                cloud.number,
                cloud.enrolled_at,
            ),
        )
        self._tell(tx, actor, f"cloud.{cloud.state}", cloud)
        tx.after(lambda: self._change(cloud))

    def end_in(self, tx: Tx, actor: Actor, state: CloudState) -> None:
        """The cloud has nothing to do with this hub any more: the keys made for it go."""
        cloud = self.current_in(tx)
        if cloud is not None and cloud.state is not state:
            self._store.vault.forget(tx, ROWS)
            self.keep_in(tx, actor, msgspec.structs.replace(cloud, state=state, enrolment_id=None))

    def drop_in(self, tx: Tx, actor: Actor, cloud: Cloud) -> None:
        """This hub has no cloud."""
        self._store.vault.forget(tx, ROWS)
        tx.run("DELETE FROM clouds")
        self._tell(tx, actor, "cloud.left", cloud)
        tx.after(lambda: self._change(None))

    def _change(self, new: Cloud | None) -> None:
        old = self.current
        self._rows.change(ONE, new)
        for told in self.on_changed:
            told(old, new)

    def _tell(self, tx: Tx, actor: Actor, event: str, cloud: Cloud) -> None:
        facts = {"id": cloud.id, "name": cloud.name, "url": cloud.url, "state": cloud.state}
        tx.record(actor, Change(event, "cloud", cloud.id, None, Action.HUB_MANAGE, facts))


ONE: Final = "cloud"


def _read(reader: Reader) -> list[Cloud]:
    rows = reader.all("SELECT id,url,pin,name,state,enrolment_id,number,enrolled_at FROM clouds")
    return [Cloud(row[0], row[1], row[2], row[3], CloudState(row[4]), row[5], row[6], row[7]) for row in rows]
