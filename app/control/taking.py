"""Commands for devices that fetch what waits for them: at their heartbeat, or when they wake up."""

from collections.abc import Collection
from functools import partial
from typing import Final

from msgspec.structs import replace

from app.control import queries
from app.control.dispatch import WINDOW, Dispatch
from app.control.model import OF_THE_MODEL, Command, Kind
from app.control.moves import Moves
from app.control.states import Event, State
from app.store.store import Store
from app.store.tx import Tx

# Looked at for each that is given: one act may acknowledge a window full, and then take another.
_AHEAD: Final = WINDOW


class Taking:
    """Handing out is a write: what a device is given is on disk as such before it is."""

    def __init__(self, store: Store, dispatch: Dispatch, moves: Moves) -> None:
        self._store = store
        self._dispatch = dispatch
        self._moves = moves

    async def take(
        self,
        device_id: str,
        limit: int = WINDOW,
        *,
        remembers: bool = True,
        kinds: Collection[Kind] = OF_THE_MODEL,
    ) -> list[Command]:
        """What the device is to do next, oldest first: at most `limit` and never more than `WINDOW`, none expired.

        `remembers`: the device does each id once, however often it is given (`app.control.link`). It is given again
        what it has taken before and neither acknowledged nor answered, ahead of what is new. One that does not
        remember is given each command once: that is taken for its acknowledgement, whether or not it arrives.

        `kinds`: what it can be given; a message that it has acknowledged has ended, for that has no answer.

        Nothing for a device that is there by a link which sends: it has everything from that. Raises StoreError, and
        then nothing was handed out.
        """
        return await self._store.write(lambda tx: self.take_in(tx, device_id, limit, remembers=remembers, kinds=kinds))

    def take_in(
        self,
        tx: Tx,
        device_id: str,
        limit: int = WINDOW,
        *,
        remembers: bool = True,
        kinds: Collection[Kind] = OF_THE_MODEL,
    ) -> list[Command]:
        """`take` inside `tx`, after what the device acknowledges and answers in the same act.

        The list is what may be handed out only once `tx` is on disk: what came between is taken out of it by then.
        """
        found = self._next_in(tx, device_id, min(limit, WINDOW), remembers, kinds)
        given: list[Command] = []
        # Before the moves are told: it must still see what a link has sent meanwhile.
        tx.after(partial(self._dispatch.taken, device_id, given))
        if remembers:
            queries.set_sent(tx, [command.n for command in found if command.state is State.QUEUED])
            given += (replace(command, state=State.SENT) for command in found)
        else:
            given += (moved for it in found if (moved := self._moves.move_in(tx, it, Event.DELIVER)) is not None)
        return given

    def _next_in(self, tx: Tx, device_id: str, limit: int, remembers: bool, kinds: Collection[Kind]) -> list[Command]:
        """From the disk: memory, which says whom to ask for, is behind by what the same batch has done."""
        if limit <= 0 or self._dispatch.is_there(device_id):
            return []
        states = (State.QUEUED, State.SENT) if remembers else (State.QUEUED,)
        ids = self._dispatch.next_ids(device_id, limit + _AHEAD, states, kinds)
        fit = (it for it in queries.commands(tx, ids) if it.state in states and it.expires_at > tx.now)
        return [command for command, _ in zip(fit, range(limit), strict=False)]
