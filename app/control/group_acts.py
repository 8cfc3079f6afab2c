"""One thing asked of a whole group: an act of its own, with what came of it for each member."""

from collections.abc import Iterable
from typing import Protocol

from app.caller import Caller, demand
from app.clock import to_time
from app.control import queries
from app.control.dispatch import Dispatch
from app.control.model import (
    Asked,
    Body,
    Command,
    GroupAct,
    GroupAnswer,
    NewCommand,
    TooManyCommands,
    Unable,
    as_seen,
    view_of,
)
from app.devices.product.values import ValueUnfit
from app.errors import Conflict, DoorstepError, NotFound
from app.groups.service import Groups
from app.policy import Action, Actor, Resource
from app.store.store import Store
from app.store.tx import Reader, Tx

# What one member may be and others not. All else is wrong with what was asked.
_OWN_REASONS = (ValueUnfit, Conflict, TooManyCommands, NotFound)
# Of a member whose commands went with it.
GONE = "device_removed"


class Asking(Protocol):
    """Asks things of single devices, within a transaction."""

    def able_in(self, tx: Tx, device_id: str, new: NewCommand) -> Body:
        """What the device is told; raises why it cannot be."""

    def insert_in(
        self,
        tx: Tx,
        actor: Actor,
        device_id: str,
        new: NewCommand,
        *,
        body: Body,
        home_id: str,
        group_id: str | None = None,
    ) -> tuple[Command, bytes]:
        """The command as kept and as shown."""


class GroupActs:
    """Whether a device is there is no reason: its command waits. Reasons are the codes of what it would be refused."""

    def __init__(self, store: Store, groups: Groups, dispatch: Dispatch, asking: Asking) -> None:
        self._store = store
        self._groups = groups
        self._dispatch = dispatch
        self._asking = asking

    async def command(self, by: Caller, group_id: str, new: NewCommand) -> GroupAnswer:
        """`new` for every device of a group that can do it, in one transaction.

        Raises NotFound, Refused, Invalid, CommandTooLong, and where no member can, why the first of them cannot.
        """
        return await self._store.write(
            lambda tx: self.command_in(tx, by, group_id, new), once=by.once, returns=GroupAnswer
        )

    def command_in(self, tx: Tx, by: Caller, group_id: str, new: NewCommand) -> GroupAnswer:
        """`command` inside `tx`."""
        resource = self._groups.access.group_in(tx, by.actor, group_id)
        demand(by.actor, Action.GROUP_CONTROL, resource, tx.moment)
        able, unable = self._able_in(tx, self._groups.members_in(tx, group_id), new)
        home_id = resource.home_id or ""
        queued = [
            self._asking.insert_in(tx, by.actor, device_id, new, body=body, home_id=home_id, group_id=group_id)[0]
            for device_id, body in able
        ]
        asked = [Asked(command.device_id, command.id) for command in queued]
        act = GroupAct(tx.new_id(), group_id, tx.now, by.actor.account_id, asked, unable)
        queries.insert_act(tx, act)
        return _answer(act, queued)

    def _able_in(
        self, tx: Tx, device_ids: Iterable[str], new: NewCommand
    ) -> tuple[list[tuple[str, Body]], list[Unable]]:
        able: list[tuple[str, Body]] = []
        unable: list[Unable] = []
        why: DoorstepError | None = None
        for device_id in device_ids:
            try:
                able.append((device_id, self._asking.able_in(tx, device_id, new)))
            except _OWN_REASONS as error:
                unable.append(Unable(device_id, error.code, str(error)))
                why = why or error
        if why is not None and not able:
            raise why
        return able, unable

    async def result(self, actor: Actor, group_id: str, act_id: str) -> GroupAnswer:
        """An act of the last 30 days, as it stands; raises NotFound, Refused."""
        resource = self._groups.access.group(actor, group_id)
        demand(actor, Action.GROUP_CONTROL, resource, self._store.clock.now())

        def read(reader: Reader) -> tuple[GroupAct, list[Command]] | None:
            act = queries.act(reader, group_id, act_id)
            return None if act is None else (act, queries.commands(reader, [each.command_id for each in act.asked]))

        found = await self._store.read(read)
        if found is None:
            raise NotFound
        act, commands = found
        return _answer(act, [self._seen(actor, resource, command) for command in commands])

    def _seen(self, actor: Actor, resource: Resource, command: Command) -> Command:
        return as_seen(actor, resource, self._dispatch.as_it_stands(command))


def _answer(act: GroupAct, commands: list[Command]) -> GroupAnswer:
    """Every member once: with its command, or with why there is none."""
    kept = {command.id for command in commands}
    left = (each.device_id for each in act.asked if each.command_id not in kept)
    gone = [Unable(device_id, GONE, "The device has left its home.") for device_id in left]
    return GroupAnswer(
        act.id, act.group_id, to_time(act.created_at), [view_of(each) for each in commands], [*act.unable, *gone]
    )
