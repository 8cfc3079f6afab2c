"""What happened to devices, as told by the hub that holds them to its cloud (PROTOCOL.md 1, 9).

In that hub's own order, each entry once. The hub keeps as much as its journal does: what had to make room before it was
told is told as missing, where it is missing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from app.accounts.people import People
from app.clock import LAST_MS
from app.devices import queries as device_queries
from app.journal import queries as journal_queries
from app.journal.model import Entry, Kind
from app.store.sizes import Removed
from app.store.store import Store
from app.store.tx import Reader, Tx
from app.sync import stream_queries as queries
from app.sync.cloud_end import Peer
from app.sync.line import Line
from app.sync.stream_queries import Gap, Level
from app.sync.telling import taken
from app.sync.wire import Answer, Done, Failed, JournalPart

Told: TypeAlias = tuple[int, str, int, str, str, str, str]

ENTRIES_AT_ONCE: Final = 500
OCTETS_AT_ONCE: Final = 256 * 1024
# Of a hub with several homes, so many places are looked at for one of them at once.
PLACES_AT_ONCE: Final = 20_000
# Taken at once: entries, and a gap for each of many devices.
MOST_ENTRIES: Final = 60_000
# As long as an entry comes to: a message of 64 KiB as base64, and what is around it.
MAX_VALUE: Final = 256 * 1024
MAX_CODE: Final = 256
MAX_SOURCE: Final = 64
LAST_PLACE: Final = 2**62
MOST_LOST: Final = 2**32
_KEY_DIGITS: Final = 64


class _Part(Struct):
    """What is told at once; `upto`: the place it comes to, `full`: there may be more."""

    upto: int
    entries: list[Told]
    gaps: list[Gap]
    full: bool


class JournalOut:
    """A hub's end. `homes`: those with a log, and whether this node is its authority."""

    def __init__(self, store: Store, people: People, homes: Mapping[str, bool]) -> None:
        self._store = store
        self._people = people
        self._homes = homes
        # Places looked at beyond what was told, by home and epoch: there was nothing of the home.
        self._looked: dict[tuple[str, str], int] = {}
        store.housekeeping.journal.on_removed.append(self.removed_in)

    def removed_in(self, tx: Tx, removed: Removed) -> None:
        """Entries make room: those that the cloud was not told of are counted, within the same act."""
        if not self._homes or not (told := queries.least_told(tx)):
            return
        homes = queries.homes_of(tx, {who for _, _, who in removed})
        lost: dict[str, tuple[int, int]] = {}
        for place, _, device_id in removed:
            if place > told.get(homes.get(device_id, ""), LAST_PLACE):
                many, last = lost.get(device_id, (0, 0))
                lost[device_id] = many + 1, max(last, place)
        if lost:
            queries.lose(tx, lost)

    def connected(self) -> None:
        """What was looked at before may have been sent back to the beginning."""
        self._looked.clear()

    async def speak(self, line: Line) -> bool:
        """A part of each home's; whether there is more."""
        more = False
        for level in await self._store.read(queries.level_homes):
            if level.begun == level.epoch:
                more = await self._tell(line, level) or more
        return more

    async def _tell(self, line: Line, level: Level) -> bool:
        life = level.home_id, level.epoch
        after = max(level.seq or 0, self._looked.get(life, 0))
        part = await self._store.read(lambda reader: self._next(reader, level.home_id, after))
        if part.entries:
            node = await self._store.read(_node_of)
            lost = sum(gap.lost for gap in part.gaps)
            if taken(await line.ask(JournalPart(0, level.home_id, node, lost, part.entries)), Done) is None:
                return False
            await self._store.write(lambda tx: queries.told(tx, level.home_id, part.upto, part.gaps))
        self._looked[life] = part.upto
        return part.full

    def _next(self, reader: Reader, home_id: str, after: int) -> _Part:
        if not queries.is_level(reader, home_id):
            return _Part(after, [], [], False)  # of a device that the cloud has not heard of it would take nothing
        last = queries.last_place(reader)
        part = _Part(min(last, after + PLACES_AT_ONCE), [], [], last > after + PLACES_AT_ONCE)
        keys: dict[str, str] = {}
        octets = 0
        for seq, device_id, at, kind, code, text, source in queries.entries(reader, home_id, after, part.upto):
            if len(part.entries) == ENTRIES_AT_ONCE or octets > OCTETS_AT_ONCE:
                part.upto, part.full = part.entries[-1][0], True
                break
            is_asked = kind == Kind.COMMAND
            value = _with_account(text, lambda it: self._key_of(reader, it, keys)) if is_asked else text
            octets += len(value) + len(code)
            part.entries.append((seq, device_id, at, kind, code, value, self._key_of(reader, source, keys)))
        part.gaps = queries.gaps(reader, home_id, part.upto)
        part.entries = sorted([*part.entries, *map(_gap, part.gaps)])
        return part

    def _key_of(self, reader: Reader, source: str, keys: dict[str, str]) -> str:
        """Who did it, as other nodes know them: a person's key in the place of an account's id."""
        if source not in keys:
            keys[source] = self._people.key_of_in(reader, source) or source
        return keys[source]


def _node_of(reader: Reader) -> str:
    row = reader.one("SELECT node_id FROM hub")
    return "" if row is None else str(row[0])


def _gap(gap: Gap) -> Told:
    value = msgspec.json.encode({"lost": gap.lost}).decode()
    return gap.last, gap.device_id, gap.at, Kind.GAP.value, "", value, "hub"


def _with_account(value: str, renamed: Any) -> str:
    """What was asked by whom: the person by another name."""
    asked = msgspec.json.decode(value)
    account_id = asked.get("account_id") if isinstance(asked, dict) else None
    if not isinstance(account_id, str):
        return value
    return msgspec.json.encode(asked | {"account_id": renamed(account_id)}).decode()


class JournalIn:
    """A cloud's end: entries go into its own journal, in the same act as how far the hub's was heard."""

    def __init__(self, store: Store, people: People) -> None:
        self._store = store
        self._people = people

    async def heard(self, peer: Peer, request: JournalPart) -> Answer:
        """The hub serves the home. What was heard before is passed over, and so is what it has no business to say."""
        if len(request.entries) > MOST_ENTRIES:
            return Failed(0, "too_many", "That is more of a journal than is told at once.", False)
        return await self._store.write(lambda tx: self._heard_in(tx, peer, request.home, request.entries))

    def _heard_in(self, tx: Tx, peer: Peer, home_id: str, entries: Sequence[Told]) -> Done:
        upto = queries.heard_upto(tx, home_id, peer.node)
        new = [it for it in entries if upto < it[0] <= LAST_PLACE]
        if not new:
            return Done(0)
        holders: dict[str, str | None] = {}
        found: list[Entry] = []
        for told in new:
            device_id = told[1]
            if device_id not in holders:
                device = device_queries.device(tx, device_id)
                holders[device_id] = None if device is None or device.home_id != home_id else device.holder
            if holders[device_id] == peer.hub_id and (entry := self._entry_in(tx, home_id, told)) is not None:
                found.append(entry)
        journal_queries.insert(tx, found)
        lost = sum(_lost(entry) for entry in found if entry.type is Kind.GAP)
        queries.put_heard_upto(tx, home_id, peer.node, max(it[0] for it in new), lost)
        return Done(0)

    def _entry_in(self, tx: Tx, home_id: str, told: Told) -> Entry | None:
        """None for what this program would not have written: whoever reads the journal relies on it."""
        _, device_id, at, kind, code, value, source = told
        if kind not in _KINDS or not 0 <= at <= LAST_MS or len(code) > MAX_CODE or len(source) > MAX_SOURCE:
            return None
        try:
            if len(value) > MAX_VALUE:
                return None
            msgspec.json.decode(value)
            if kind == Kind.COMMAND:
                value = _with_account(value, lambda it: self._account_of(tx, it))
        except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
            return None
        return Entry(device_id, home_id, at, Kind(kind), code, value, self._account_of(tx, source))

    def _account_of(self, reader: Reader, source: str) -> str:
        """The account that a key names here; who is not known here stays a key."""
        if len(source) != _KEY_DIGITS:
            return source
        try:
            return self._people.account_of_in(reader, source) or source
        except ValueError:
            return source


_KINDS: Final = frozenset(kind.value for kind in Kind)


def _lost(entry: Entry) -> int:
    said = msgspec.json.decode(entry.value)
    lost = said.get("lost") if isinstance(said, dict) else None
    return lost if isinstance(lost, int) and 0 <= lost <= MOST_LOST else 0
