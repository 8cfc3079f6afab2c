"""What may be asked of devices. The hottest write of a hub: one question, and one row besides what all leave."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from app.caller import Caller, demand
from app.control import asking, queries
from app.control.dispatch import Dispatch
from app.control.link import Link
from app.control.model import (
    MAX_MESSAGES_PER_DEVICE,
    MAX_OPEN_PER_DEVICE,
    Body,
    Command,
    CommandView,
    GroupAnswer,
    Kind,
    LinkCannot,
    NewCommand,
    TooManyCommands,
    view_of,
)
from app.control.moves import Moves, change
from app.control.states import State
from app.control.taking import Taking
from app.devices import queries as device_queries
from app.devices.model import Device, DeviceFrozen, DeviceUnbound
from app.devices.product.values import ValueUnfit
from app.devices.service import Devices
from app.errors import NotFound
from app.groups.service import Groups
from app.journal.service import Journal
from app.policy import Action, Actor, Resource, allowed
from app.store.store import Store
from app.store.tx import Tx

# A wish (shadow, desired) waits for its device this long.
DESIRED_EXPIRES_S = 24 * 3600.0

_encode = msgspec.json.Encoder().encode


class Control:
    """Commands to devices. Links register under the name devices carry (`links`)."""

    def __init__(self, store: Store, devices: Devices, groups: Groups, journal: Journal) -> None:
        self._store = store
        self._devices = devices
        self._groups = groups
        self.links: dict[str, Link] = {}
        self.dispatch = Dispatch(store, self._link_of)
        self.moves = moves = Moves(store, devices, journal, self.dispatch)
        self.acknowledged = moves.acknowledged
        self.acknowledged_in = moves.acknowledged_in
        self.acknowledged_soon = moves.acknowledged_soon
        self.answered = moves.answered
        self.answered_in = moves.answered_in
        self.device_of_in = moves.device_of_in
        taking = Taking(store, self.dispatch, moves)
        self.take = taking.take
        self.take_in = taking.take_in
        self._expiring: asyncio.Task[None] | None = None
        devices.presence.on_online.append(self.dispatch.online)
        devices.on_leaving.append(self.device_leaving_in)
        devices.freezing.on_freezing.append(self.device_freezing_in)
        devices.transfers.on_moving.append(self.device_moving_in)
        devices.on_unbinding.append(self.device_unbinding_in)
        devices.shadows.on_desired.append(self.desired_in)

    def start(self) -> None:
        """Begin to expire what is due."""
        self._expiring = asyncio.create_task(self.dispatch.run(self.moves.expire), name="command-expiry")

    async def stop(self) -> None:
        """End what `start` began."""
        if self._expiring is not None:
            self._expiring.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._expiring

    # asking

    async def command(self, by: Caller, device_id: str, new: NewCommand) -> bytes:
        """A command on disk, on its way if the device is there; JSON of its CommandView.

        Raises NotFound, Refused, DeviceUnbound, DeviceFrozen, LinkCannot, ValueUnfit, Invalid, TooManyCommands.
        """
        raw = await self._store.write(
            lambda tx: msgspec.Raw(self._command_in(tx, by, device_id, new)), once=by.once, returns=msgspec.Raw
        )
        return bytes(raw)

    def submit(
        self, by: Caller, device_id: str, new: NewCommand, tell: Callable[[bytes | None, Exception | None], None]
    ) -> None:
        """`command`, for who would rather be told than wait; what it raises is told as well. Raises StoreError."""
        self._store.submit(lambda tx: self._command_in(tx, by, device_id, new), tell, by.once)

    def _command_in(self, tx: Tx, by: Caller, device_id: str, new: NewCommand) -> bytes:
        resource = self._devices.access.device_in(tx, by.actor, device_id)
        demand(by.actor, Action.DEVICE_CONTROL, resource, tx.moment)
        self._devices.registry.demand_bound_in(tx, device_id)
        self._devices.demand_unfrozen_in(tx, device_id)
        body = self._checked(device_id, new)
        if self.dispatch.count(device_id) >= MAX_OPEN_PER_DEVICE:
            raise TooManyCommands
        _, shown = self.insert_in(tx, by.actor, device_id, new, body=body, home_id=resource.home_id or "")
        return shown

    async def group_command(self, by: Caller, group_id: str, new: NewCommand) -> GroupAnswer:
        """`new` for every device of a group that can do it, in one transaction.

        Raises NotFound, Refused, ValueUnfit or DeviceFrozen (none of them can), TooManyCommands (nothing is queued for
        any then).
        """
        return await self._store.write(
            lambda tx: self.group_command_in(tx, by, group_id, new), once=by.once, returns=GroupAnswer
        )

    def group_command_in(self, tx: Tx, by: Caller, group_id: str, new: NewCommand) -> GroupAnswer:
        """`group_command` inside `tx`."""
        resource = self._groups.access.group_in(tx, by.actor, group_id)
        demand(by.actor, Action.GROUP_CONTROL, resource, tx.moment)
        able, unable = self._able(tx, self._groups.members_in(tx, group_id), new)
        home_id = resource.home_id or ""
        queued = [
            self.insert_in(tx, by.actor, device_id, new, body=body, home_id=home_id, group_id=group_id)[0]
            for device_id, body in able
        ]
        return GroupAnswer([view_of(command) for command in queued], unable)

    def _able(self, tx: Tx, device_ids: Iterable[str], new: NewCommand) -> tuple[list[tuple[str, Body]], list[str]]:
        able: list[tuple[str, Body]] = []
        unable: list[str] = []
        why: ValueUnfit | DeviceUnbound | DeviceFrozen | LinkCannot | None = None
        for device_id in device_ids:
            try:
                self._devices.registry.demand_bound_in(tx, device_id)
                self._devices.demand_unfrozen_in(tx, device_id)
                able.append((device_id, self._checked(device_id, new)))
            except (ValueUnfit, DeviceUnbound, DeviceFrozen, LinkCannot) as error:
                unable.append(device_id)
                why = error
            if self.dispatch.count(device_id) >= MAX_OPEN_PER_DEVICE:
                raise TooManyCommands
        if why is not None and not able:
            raise why
        return able, unable

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
        """The command as kept and as shown, for an actor who may give it."""
        expires_at = tx.now + asking.expires_in_ms(new)
        command = Command(
            queries.next_place(tx),
            tx.new_id(),
            device_id,
            home_id,
            new.kind,
            body,
            State.QUEUED,
            None,
            actor.account_id,
            group_id,
            tx.now,
            expires_at,
            None,
        )
        queries.insert(tx, command)
        shown = _encode(view_of(command))
        tx.record(actor, change("command.created", command, msgspec.Raw(shown)))
        tx.after(partial(self.dispatch.added, command))
        return command, shown

    def checked(self, device: Device, new: NewCommand) -> Body:
        """What the device is told, checked against its product's model and its link.

        Raises ValueUnfit, Invalid, CommandTooLong, LinkCannot.
        """
        link = self._link_of(device.id)
        if link is not None and new.kind not in link.carries:
            raise LinkCannot
        if new.kind is Kind.MESSAGE:
            if link is None:
                raise LinkCannot
            if self.dispatch.messages(device.id) >= MAX_MESSAGES_PER_DEVICE:
                raise TooManyCommands
        return asking.checked(self._devices.catalogue.get(device.product_id), new)

    def _checked(self, device_id: str, new: NewCommand) -> Body:
        live = self._devices.memory.get(device_id)
        if live is None:
            raise NotFound
        return self.checked(live.device, new)

    async def ended(self, view: CommandView, seconds: float) -> CommandView:
        """The command once it has ended, or as it stands after `seconds`."""
        command = self.dispatch.get(view.device_id, view.id)
        if command is None:
            command = await self._store.read(lambda reader: queries.command(reader, view.id))
            return view if command is None else view_of(command)
        return view_of(await self.dispatch.ended(command, seconds))

    # reading

    async def get(self, actor: Actor, device_id: str, command_id: str) -> CommandView:
        """One command; raises NotFound."""
        resource = self._demand_read(actor, device_id)
        command = await self._store.read(lambda reader: queries.command(reader, command_id))
        if command is None or command.device_id != device_id:
            raise NotFound
        return view_of(_as_seen(actor, resource, self.dispatch.as_it_stands(command)))

    async def of_device(self, actor: Actor, device_id: str, before: int | None, limit: int) -> list[Command]:
        """A device's commands, newest first: for who may not read the device's log only those they gave themselves.

        Who was at home last week, and did what, is nothing to a guest or to somebody a device is shared with.
        """
        resource = self._demand_read(actor, device_id)
        reads_log = allowed(actor, Action.DEVICE_JOURNAL, resource, self._store.clock.now()).yes
        whose = None if reads_log else actor.account_id
        found = await self._store.read(lambda reader: queries.of_device(reader, device_id, before, limit, whose))
        return [_as_seen(actor, resource, self.dispatch.as_it_stands(command)) for command in found]

    def _demand_read(self, actor: Actor, device_id: str) -> Resource:
        resource = self._devices.access.device(actor, device_id)
        demand(actor, Action.DEVICE_CONTROL, resource, self._store.clock.now())
        return resource

    # other nouns

    def device_leaving_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """A device leaves its home: what it was still to do ends with it."""
        self._fail_in(tx, device, "device_removed")
        queries.delete_of_device(tx, device.id)
        tx.after(partial(self.dispatch.device_left, device.id))

    def device_unbinding_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """A device was reset: it does nothing more of what it was told before."""
        self._fail_in(tx, device, "device_reset")

    def device_freezing_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """A device is kept out: nobody waits for what it will not do, nor is surprised by it once it is let in."""
        self._fail_in(tx, device, "device_frozen")

    def device_moving_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """A device goes to another home: what this one asked of it ends, and is nobody's to read there."""
        self._fail_in(tx, device, "device_transferred")
        queries.delete_of_device(tx, device.id)

    def _fail_in(self, tx: Tx, device: Device, why: str) -> None:
        for command in queries.open_of_device(tx, device.id):
            self.moves.end_in(tx, command, why)

    def desired_in(self, tx: Tx, by: Caller, device_id: str, service: str, wanted: Mapping[str, Any]) -> None:
        """Values are wanted of a device (None: no longer): have them set once it is there, in the place of older ones.

        Raises DeviceUnbound, TooManyCommands.
        """
        self._devices.registry.demand_bound_in(tx, device_id)
        for old in self.dispatch.wishes(device_id):
            if old.body.service == service and old.body.values.keys() <= wanted.keys():
                self.moves.end_in(tx, old, "superseded")
        values = {name: value for name, value in wanted.items() if value is not None}
        # From the disk: memory does not know yet of a transfer in the same batch.
        device = device_queries.device(tx, device_id)
        if device is not None and values:
            if self.dispatch.count(device_id) >= MAX_OPEN_PER_DEVICE:
                raise TooManyCommands
            new = NewCommand(service, values=values, expires_in=DESIRED_EXPIRES_S)
            body = Body(service, values=values, wish=True)
            self.insert_in(tx, by.actor, device_id, new, body=body, home_id=device.home_id)

    def _link_of(self, device_id: str) -> Link | None:
        """Its own link, or while that is down any other that it is there by."""
        live = self._devices.memory.get(device_id)
        if live is None:
            return None
        own = self.links.get(live.device.link)
        if own is not None and own.is_online(device_id):
            return own
        return next((link for link in self.links.values() if link.is_online(device_id)), own)


def _as_seen(actor: Actor, resource: Resource, command: Command) -> Command:
    """A command as a receiver of the device may know it: not who else gave it, nor through which group."""
    if resource.standing.role is not None or command.account_id == actor.account_id:
        return command
    return msgspec.structs.replace(command, account_id=None, group_id=None)
