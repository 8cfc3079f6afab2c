"""Commands on their way between nodes: who gave them, who does them, and that their end is told (PROTOCOL.md 9)."""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from app.control.model import Command, Outcome, decode_outcome, encode_body
from app.control.moves import Moves
from app.control.states import ENDED, State
from app.store.retention import DAY_MS, KEEP
from app.store.store import Store
from app.store.tx import Reader, Tx
from app.sync import stream_queries as queries
from app.sync.stream_queries import Errand
from app.sync.wire import CommandEnd, encode

# What a hub calls the other end of its one connection.
CLOUD: Final = "cloud"
ENDS_AT_ONCE: Final = 100
# As JSON: the values of a service, at most.
MAX_OUTCOME: Final = 128 * 1024
_FORGOTTEN_AT_ONCE: Final = 500

decode_end: Final = msgspec.msgpack.Decoder(CommandEnd).decode


class Errands:
    """In memory those that have not ended: whether a command is one is asked at the end of every command."""

    def __init__(self, store: Store, moves: Moves) -> None:
        self._store = store
        self._moves = moves
        self._open: dict[str, Errand] = {}
        # On the event loop, once it is on disk: an errand has ended.
        self.on_ended: list[Callable[[Errand, CommandEnd], None]] = []
        moves.on_ended.append(self._ended_in)
        store.keep_resident(self)

    def load(self, reader: Reader) -> None:
        """Those of an earlier life of this process."""
        self._open = {each.command_id: each for each in queries.open_errands(reader)}

    def start_housekeeping(self) -> None:
        """Forget what nobody asked about; the store must be open."""
        self._store.housekeeping.register("sync_commands", self._forget_in)

    def get(self, command_id: str) -> Errand | None:
        """One that has not ended."""
        return self._open.get(command_id)

    def count(self, giver: str) -> int:
        """How many of a giver's have not ended; asked from the writer's thread."""
        return sum(each.giver == giver for each in tuple(self._open.values()))

    def put_in(self, tx: Tx, errands: Iterable[Errand]) -> None:
        """They are on their way: taken from their giver, or about to be handed to their holder."""
        kept = [self._joined(each) for each in errands]
        queries.put_errands(tx, kept)
        tx.after(lambda: self._open.update((each.command_id, each) for each in kept))

    def _joined(self, errand: Errand) -> Errand:
        known = self._open.get(errand.command_id)
        if known is None:
            return errand
        return msgspec.structs.replace(known, holder=errand.holder or known.holder, giver=known.giver or errand.giver)

    def _ended_in(self, tx: Tx, command: Command) -> None:
        errand = self._open.get(command.id)
        if errand is None:
            return
        end = end_of(command)
        if errand.giver == CLOUD:
            queries.end_errand(tx, command.id, encode(end))
        else:
            # A hub asks again for what it has had no answer to; what was given here is told by its events.
            queries.drop_errands(tx, [command.id])
        tx.after(lambda: self._told(errand, end))

    def _told(self, errand: Errand, end: CommandEnd) -> None:
        self._open.pop(errand.command_id, None)
        for told in self.on_ended:
            told(errand, end)

    def heard_in(self, tx: Tx, holder: str, ends: Iterable[CommandEnd]) -> None:
        """How commands ended that `holder` was given; of others it has nothing to say. The first end counts."""
        for end in ends:
            errand = self._open.get(end.command_id)
            if errand is not None and errand.holder == holder and end.state in ENDED:
                self._moves.ended_elsewhere_in(tx, end.command_id, State(end.state), _outcome(end))

    def _forget_in(self, tx: Tx) -> int:
        before = tx.now - (KEEP["sync_commands"].keep_days or 0) * DAY_MS
        return queries.drop_old_errands(tx, before, _FORGOTTEN_AT_ONCE)


def end_of(command: Command) -> CommandEnd:
    """As it is told."""
    outcome = None if command.outcome is None else encode_body(command.outcome).decode()
    return CommandEnd(command.id, command.state.value, outcome)


def failed(command_id: str, code: str) -> CommandEnd:
    """It will not be done, because of `code`."""
    return CommandEnd(command_id, State.FAILED.value, encode_body(Outcome(error=code)).decode())


def _outcome(end: CommandEnd) -> Outcome:
    """What came of it; what cannot be read says only whether it was done."""
    if end.outcome is not None and len(end.outcome) <= MAX_OUTCOME:
        try:
            return decode_outcome(end.outcome)
        except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
            pass
    return Outcome(error=None if end.state == State.ANSWERED else end.state)
