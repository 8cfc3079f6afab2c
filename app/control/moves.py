"""Commands move from state to state, by what links say and as time passes; each move leaves its event and its log."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from app.control import queries
from app.control.dispatch import Dispatch
from app.control.model import Command, Kind, Outcome, view_of
from app.control.states import ENDINGS, Event, State, move
from app.devices.service import Devices
from app.journal.model import Entry
from app.journal.model import Kind as Noted
from app.journal.service import Journal
from app.policy import SYSTEM, Action
from app.store.errors import StoreError
from app.store.store import Store
from app.store.tx import Change, Reader, Tx

_encode = msgspec.json.Encoder().encode


class Moves:
    """What befalls commands once they are asked for. What means nothing any more (see `states`) changes nothing."""

    def __init__(self, store: Store, devices: Devices, journal: Journal, dispatch: Dispatch) -> None:
        self._store = store
        self._devices = devices
        self._journal = journal
        self._dispatch = dispatch
        self._acknowledged = store.later(self._acknowledged_in)
        # Told within the transaction of the end of each command, and what came of it.
        self.on_ended: list[Callable[[Tx, Command], None]] = []

    # what links say

    async def acknowledged(self, device_id: str, command_ids: Iterable[str]) -> None:
        """The device has these, and will answer them or not; once it is on disk they are not handed out again."""
        await self._store.write(lambda tx: self.acknowledged_in(tx, device_id, command_ids))

    def acknowledged_in(self, tx: Tx, device_id: str, command_ids: Iterable[str]) -> None:
        """`acknowledged` inside `tx`. Ids of other devices, and of what has ended, are passed over."""
        for command_id in command_ids:
            self._move_in(tx, device_id, command_id, Event.DELIVER, None)

    def acknowledged_soon(self, device_id: str, command_id: str) -> None:
        """`acknowledged` for who cannot wait: not handed out again from now on, and on disk with the next commit.

        A hub that is killed before hands it out once more, under the same id.
        """
        self._dispatch.acknowledged(device_id, command_id)
        self._acknowledged.add((device_id, command_id))

    def _acknowledged_in(self, tx: Tx, acknowledged: list[tuple[str, str]]) -> None:
        for device_id, command_id in acknowledged:
            self._move_in(tx, device_id, command_id, Event.DELIVER, None)

    async def answered(
        self, device_id: str, command_id: str, *, ok: bool, values: Mapping[str, Any], error: str | None
    ) -> None:
        """The device's answer; values that now hold go into the shadow in the same transaction.

        An answer to what is not open any more (expired, another device's, answered before) changes nothing.
        """
        await self._store.write(
            lambda tx: self.answered_in(tx, device_id, command_id, ok=ok, values=values, error=error)
        )

    def answered_in(
        self,
        tx: Tx,
        device_id: str,
        command_id: str,
        *,
        ok: bool,
        values: Mapping[str, Any],
        error: str | None = None,
        hold: bool = True,
    ) -> None:
        """`answered` inside `tx`; without `hold` the values are no news of the device's state."""
        outcome = Outcome(dict(values) if ok else {}, None if ok else error or "failed")
        command = self._move_in(tx, device_id, command_id, Event.ANSWER if ok else Event.FAIL, outcome)
        if command is not None and ok and values and hold:
            self._devices.shadows.reported_in(tx, device_id, command.body.service, values)

    def device_of_in(self, reader: Reader, command_id: str) -> str | None:
        """The device that a command is for."""
        command = queries.command(reader, command_id)
        return None if command is None else command.device_id

    # time, and other acts

    async def expire(self, command_ids: list[str]) -> bool:
        """Their time is over; False where the disk did not take it, and they are due still."""

        def act(tx: Tx) -> None:
            for command in queries.commands(tx, command_ids):
                moved = self.move_in(tx, command, Event.EXPIRE, Outcome(error="expired"))
                if moved is not None and moved.body.wish:
                    body = moved.body
                    self._devices.shadows.unmet_in(tx, moved.device_id, body.service, body.values, moved.created_at)

        try:
            await self._store.write(act)
        except StoreError:
            self._dispatch.again(command_ids)
            return False
        return True

    def end_in(self, tx: Tx, command: Command, why: str) -> None:
        """It will not be done, because of `why`."""
        self._move_in(tx, command.device_id, command.id, Event.FAIL, Outcome(error=why))

    def _move_in(
        self, tx: Tx, device_id: str, command_id: str, event: Event, outcome: Outcome | None
    ) -> Command | None:
        command = queries.command(tx, command_id)
        if command is None or command.device_id != device_id:
            return None
        return self.move_in(tx, command, event, outcome)

    def move_in(self, tx: Tx, command: Command, event: Event, outcome: Outcome | None = None) -> Command | None:
        """`command`, as it is on disk, after `event`; None where that means nothing any more."""
        # A device has nothing to say to a message but that it has it.
        is_had = command.kind is Kind.MESSAGE and event is Event.DELIVER
        state = move(command.state, Event.ANSWER if is_had else event)
        if state is None or state is command.state:
            return None
        ended_at = tx.now if state.ended else None
        command = replace(command, state=state, outcome=outcome, ended_at=ended_at)
        queries.set_state(tx, command.id, state, outcome)
        tx.record(SYSTEM, change(f"command.{state.value}", command, view_of(command), audit=False))
        if state.ended:
            self._ended_in(tx, command, "hub" if event is Event.EXPIRE else "device")
        tx.after(partial(self._dispatch.moved, command))
        return command

    def _ended_in(self, tx: Tx, command: Command, source: str) -> None:
        live = self._devices.memory.get(command.device_id)
        # The log of a device is kept by the hub that holds it, which does this as its own command.
        if live is None or self._devices.memory.holds(live.device):
            self._journal.write_in(tx, _entries(command, tx.now, source))
        for told in self.on_ended:
            told(tx, command)

    def ended_elsewhere_in(self, tx: Tx, command_id: str, state: State, outcome: Outcome) -> Command | None:
        """The node that did it says how it ended; None where that means nothing any more."""
        command = queries.command(tx, command_id)
        event = ENDINGS.get(state)
        return None if command is None or event is None else self.move_in(tx, command, event, outcome)


def _entries(command: Command, now: int, source: str) -> tuple[Entry, Entry]:
    """What the device's log says of a command, once it has ended: what was asked, by whom, and what came of it.

    Not at its beginning: that is in the audit trail, and a row more would be felt by the hottest write of a hub.
    """
    code = command.body.name or command.body.service or command.kind.value
    asked = _encode(view_of(command)).decode()
    said = _encode({"command_id": command.id, "state": command.state, "outcome": command.outcome}).decode()
    device_id, home_id = command.device_id, command.home_id
    return (
        Entry(device_id, home_id, command.created_at, Noted.COMMAND, code, asked, command.account_id or "hub"),
        Entry(device_id, home_id, now, Noted.ANSWER, code, said, source),
    )


def change(kind: str, command: Command, data: Any, *, audit: bool = True) -> Change:
    """What is told of a command."""
    return Change(
        kind,
        "command",
        command.id,
        command.home_id,
        Action.DEVICE_CONTROL,
        data,
        device_id=command.device_id,
        audit=audit,
    )
