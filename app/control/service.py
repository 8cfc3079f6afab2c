"""What may be asked of devices. The hottest write of a hub: one question, and one row besides what all leave."""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial

import msgspec

from app.caller import Caller, demand
from app.control import asking, queries
from app.control.dispatch import Dispatch
from app.control.group_acts import GroupActs
from app.control.link import Link
from app.control.model import (
    MAX_MESSAGES_PER_DEVICE,
    MAX_OPEN_PER_DEVICE,
    Body,
    Command,
    CommandView,
    Kind,
    LinkCannot,
    NewCommand,
    TooManyCommands,
    as_seen,
    view_of,
)
from app.control.moves import Moves, change
from app.control.states import State
from app.control.taking import Taking
from app.control.wishes import Wishes
from app.devices.model import Device
from app.devices.service import Devices
from app.errors import NotFound
from app.groups.service import Groups
from app.journal.service import Journal
from app.policy import Action, Actor, Resource, allowed
from app.store.store import Store
from app.store.tx import Tx

_encode = msgspec.json.Encoder().encode


class Control:
    """Commands to devices. Links register under the name devices carry (`links`)."""

    def __init__(self, store: Store, devices: Devices, groups: Groups, journal: Journal) -> None:
        self._store = store
        self._devices = devices
        self.links: dict[str, Link] = {}
        # The way to devices that another hub holds: those are never reached by a link of this node.
        self.elsewhere: Link | None = None
        self.dispatch = Dispatch(store, self._link_of)
        self.moves = moves = Moves(store, devices, journal, self.dispatch)
        self.acknowledged = moves.acknowledged
        self.acknowledged_in = moves.acknowledged_in
        self.acknowledged_soon = moves.acknowledged_soon
        self.answered = moves.answered
        self.answered_in = moves.answered_in
        self.device_of_in = moves.device_of_in
        taking = Taking(store, self.dispatch, moves)
        group_acts = GroupActs(store, groups, self.dispatch, asking=self)
        self.group_command = group_acts.command
        self.group_command_in = group_acts.command_in
        self.group_result = group_acts.result
        self.take = taking.take
        self.take_in = taking.take_in
        self._expiring: asyncio.Task[None] | None = None
        devices.presence.on_online.append(self.dispatch.online)
        devices.on_leaving.append(self.device_leaving_in)
        devices.freezing.on_freezing.append(self.device_freezing_in)
        devices.transfers.on_moving.append(self.device_moving_in)
        devices.on_unbinding.append(self.device_unbinding_in)
        wishes = Wishes(devices, self.dispatch, moves, insert_in=self.insert_in)
        devices.shadows.on_desired.append(wishes.desired_in)
        devices.shadows.on_reported.append(wishes.reported_in)

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
            lambda tx: msgspec.Raw(self.command_in(tx, by, device_id, new)), once=by.once, returns=msgspec.Raw
        )
        return bytes(raw)

    def submit(
        self, by: Caller, device_id: str, new: NewCommand, tell: Callable[[bytes | None, Exception | None], None]
    ) -> None:
        """`command`, for who would rather be told than wait; what it raises is told as well. Raises StoreError."""
        self._store.submit(lambda tx: self.command_in(tx, by, device_id, new), tell, by.once)

    def command_in(
        self, tx: Tx, by: Caller, device_id: str, new: NewCommand, *, command_id: str | None = None
    ) -> bytes:
        """`command` inside `tx`; `command_id` is what the node calls it that it comes from."""
        resource = self._devices.access.device_in(tx, by.actor, device_id)
        demand(by.actor, Action.DEVICE_CONTROL, resource, tx.moment)
        body = self.able_in(tx, device_id, new)
        home_id = resource.home_id or ""
        _, shown = self.insert_in(tx, by.actor, device_id, new, body=body, home_id=home_id, command_id=command_id)
        return shown

    def able_in(self, tx: Tx, device_id: str, new: NewCommand) -> Body:
        """What a device is told, where it is one that can be told it now.

        Raises NotFound, DeviceUnbound, DeviceFrozen, LinkCannot, ValueUnfit, Invalid, CommandTooLong, TooManyCommands.
        """
        live = self._devices.memory.get(device_id)
        if live is None:
            raise NotFound
        self._devices.registry.demand_bound_in(tx, device_id)
        self._devices.demand_unfrozen_in(tx, device_id)
        body = self.checked(live.device, new)
        if self.dispatch.count(device_id) >= MAX_OPEN_PER_DEVICE:
            raise TooManyCommands
        return body

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
        command_id: str | None = None,
    ) -> tuple[Command, bytes]:
        """The command as kept and as shown, for an actor who may give it; under an id of its own unless it has one."""
        expires_at = tx.now + asking.expires_in_ms(new)
        command = Command(
            queries.next_place(tx),
            command_id or tx.new_id(),
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
        # The usual case, without asking each link whether it has the device: its own carries what is wanted.
        own = self.links.get(device.link)
        link = own if own is not None and new.kind in own.carries else self._link_of(device.id)
        if link is not None and new.kind not in link.carries:
            raise LinkCannot
        if new.kind is Kind.MESSAGE:
            if link is None:
                raise LinkCannot
            if self.dispatch.messages(device.id) >= MAX_MESSAGES_PER_DEVICE:
                raise TooManyCommands
        return asking.checked(self._devices.catalogue.get(device.product_id), new)

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
        return view_of(as_seen(actor, resource, self.dispatch.as_it_stands(command)))

    async def of_device(self, actor: Actor, device_id: str, before: int | None, limit: int) -> list[Command]:
        """A device's commands, newest first: for who may not read the device's log only those they gave themselves.

        Who was at home last week, and did what, is nothing to a guest or to somebody a device is shared with.
        """
        resource = self._demand_read(actor, device_id)
        reads_log = allowed(actor, Action.DEVICE_JOURNAL, resource, self._store.clock.now()).yes
        whose = None if reads_log else actor.account_id
        found = await self._store.read(lambda reader: queries.of_device(reader, device_id, before, limit, whose))
        return [as_seen(actor, resource, self.dispatch.as_it_stands(command)) for command in found]

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

    def _link_of(self, device_id: str) -> Link | None:
        """Its own link, or while that is down any other that it is there by; of another hub's device the way to it."""
        live = self._devices.memory.get(device_id)
        if live is None:
            return None
        if not self._devices.memory.holds(live.device):
            return self.elsewhere
        own = self.links.get(live.device.link)
        if own is not None and own.is_online(device_id):
            return own
        return next((link for link in self.links.values() if link.is_online(device_id)), own)
