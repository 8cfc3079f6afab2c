"""How devices reach the hubs of their homes: each hub's card, a secret of each home that it serves (PROTOCOL.md 5, 8).

Sealed like the other secrets: so neither the cloud nor a hub that was not let in can have a device go to a stranger.
A hub's id is read off its key, so that a card can be no other hub's.
"""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from app.devices.handing import HubChoice
from app.store.later import Later
from app.store.resident import Resident
from app.store.store import Store
from app.store.tx import Reader, Tx
from app.sync import queries
from app.sync.engine import Engine
from app.sync.replica import Replica
from app.sync.sealing.queries import each, rows_below, shown
from pairing.messages import HubCard

BEGINNING: Final = "hubs/"
_encode = msgspec.json.encode
_decoder = msgspec.json.Decoder(HubCard)


class HubCards:
    """`app.links.holding.Cards`, and `app.devices.handing.HubsOfHomes`. At a cloud there are none to be read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._vault = store.vault
        self._own: HubCard | None = None
        self._make: Callable[[], HubCard | None] = _nowhere
        self._saying: Later[None]
        # By home and hub.
        self._cards: Resident[tuple[str, str], HubCard] = Resident(self._load)
        store.keep_resident(self._cards)
        # Told on the event loop, of a home and a hub of it.
        self.on_changed: list[Callable[[str, str], None]] = []

    async def open(self, make: Callable[[], HubCard | None], replica: Replica) -> None:
        """Devices reach this hub from now on, as `make` says: say it in each home that has a cloud, or gets one."""
        self._make, self._own = make, make()
        self._saying = self._store.later(lambda tx, _: self._keep_every_in(tx))
        replica.on_moved.append(self.keep_in)
        await self._store.write(self._keep_every_in)

    def plug(self, engine: Engine) -> None:
        """With each connection to the cloud it is looked at again: this hub may have come to another network."""
        engine.on_connected.append(lambda _: self._look_again())

    def _look_again(self) -> None:
        own = self._make()
        if own not in (None, self._own):
            self._own = own
            self._saying.add(None)

    def let_go_in(self, tx: Tx, home_id: str) -> None:
        """A home is this hub's alone from now on: there are no others."""
        beginning = place_of(home_id, "")
        for row in rows_below(tx, beginning):
            self._put(tx, home_id, row.removeprefix(beginning), None)
        self._vault.forget(tx, beginning)

    def get(self, home_id: str, hub_id: str) -> HubCard | None:
        """See the Protocol. Its own a hub knows in every home."""
        if self._own is not None and hub_id == self._own.hub_id:
            return self._own
        return self._cards.get((home_id, hub_id))

    def fit_in(self, reader: Reader, home_id: str) -> list[HubChoice]:
        """See the Protocol: whose card is in the log, though this node may not open it; itself, where it is a hub."""
        named = {it: str(fields.get("name", "")) for it, fields in each(reader, home_id, "hub")}
        fit = {it: name for it, name in named.items() if shown(reader, home_id, "secret", place_of(home_id, it))}
        if self._own is not None:
            fit.setdefault(self._own.hub_id, self._own.name)
        return [HubChoice(it, name) for it, name in sorted(fit.items())]

    def _keep_every_in(self, tx: Tx) -> None:
        for shared in queries.all_shared(tx):
            self.keep_in(tx, shared.home_id)

    def keep_in(self, tx: Tx, home_id: str) -> None:
        """Have this hub's card be a secret of a home that it serves."""
        if (own := self._own) is None:
            return
        hub_id = own.hub_id
        # After each change of a log it stands there already.
        if self._cards.get((home_id, hub_id)) == own:
            return
        shared = queries.shared(tx, home_id)
        if shared is not None and shared.cloud_id is not None and shared.state == "synced":
            self._vault.keep(tx, place_of(home_id, hub_id), _encode(own))
            self._cards.put(tx, (home_id, hub_id), own)

    def told_in(self, tx: Tx, rest: str) -> None:
        """Another hub has said it, or is none of the home's any more; `rest` is what follows the beginning."""
        home_id, _, hub_id = rest.partition("/")
        self._put(tx, home_id, hub_id, self._read(tx, home_id, hub_id))

    def _put(self, tx: Tx, home_id: str, hub_id: str, card: HubCard | None) -> None:
        def settle() -> None:
            self._cards.change((home_id, hub_id), card)
            for told in self.on_changed:
                told(home_id, hub_id)

        tx.after(settle)

    def _read(self, reader: Reader, home_id: str, hub_id: str) -> HubCard | None:
        kept = self._vault.fetch(reader, place_of(home_id, hub_id))
        try:
            card = None if kept is None else _decoder.decode(kept)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return None if card is None or card.hub_id != hub_id else card

    def _load(self, reader: Reader) -> Iterator[tuple[tuple[str, str], HubCard]]:
        for row in rows_below(reader, BEGINNING):
            home_id, _, hub_id = row.removeprefix(BEGINNING).partition("/")
            if (card := self._read(reader, home_id, hub_id)) is not None:
                yield (home_id, hub_id), card


def _nowhere() -> HubCard | None:
    """Where no device reaches this node."""
    return None


def place_of(home_id: str, hub_id: str) -> str:
    """Where in the vault, and under which id in the log, a hub's card stands."""
    return f"{BEGINNING}{home_id}/{hub_id}"
