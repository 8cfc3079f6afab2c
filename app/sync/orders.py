"""Commands from another node: asked of this node's own policy, and done as its own under the same id (PROTOCOL 9)."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from app.accounts.people import People
from app.caller import Caller
from app.control import queries as control_queries
from app.control.model import (
    MAX_BODY,
    MAX_CONTENT,
    MAX_EXPIRES_AFTER_S,
    Body,
    Command,
    Kind,
    NewCommand,
    Outcome,
    TooManyCommands,
    decode_body,
)
from app.control.service import Control
from app.control.states import Event, State
from app.devices import queries as device_queries
from app.devices.model import Device
from app.devices.service import Devices
from app.errors import Conflict, DoorstepError, Invalid, Refused
from app.policy import Actor
from app.store.errors import StoreError
from app.store.store import Store
from app.store.tx import Tx
from app.sync import stream_queries as queries
from app.sync.errands import CLOUD, Errands, end_of, failed
from app.sync.stream_queries import Errand
from app.sync.wire import CommandEnd, Order

# Of one hub, on their way to others at once.
MOST_OF_ONE: Final = 1_000
_KEY_DIGITS: Final = 64


class NotHere(Conflict):
    """The device is not held by the hub that was asked."""

    code = "device_not_here"


class OrderTaken(Conflict):
    """Another command has this id."""

    code = "command_id_taken"


class Taking:
    """`homes`: those with a log, and whether this node is its authority; `serves`: whether a hub serves a home."""

    def __init__(
        self,
        store: Store,
        *,
        devices: Devices,
        control: Control,
        people: People,
        errands: Errands,
        homes: Callable[[str], bool | None],
        serves: Callable[[str, str], bool],
    ) -> None:
        self._store = store
        self._devices = devices
        self._control = control
        self._people = people
        self._errands = errands
        self._homes = homes
        self._serves = serves

    async def take(self, giver: str, orders: Sequence[Order]) -> list[CommandEnd]:
        """Each by itself; the ends of those that have ended already, or were refused. Raises StoreError."""
        ends = await asyncio.gather(*(self._take(giver, order) for order in orders))
        return [end for end in ends if end is not None]

    async def _take(self, giver: str, order: Order) -> CommandEnd | None:
        try:
            return await self._store.write(lambda tx: self._take_in(tx, giver, order))
        except StoreError:
            raise
        except DoorstepError as error:
            return failed(order.command_id, error.code)

    def _take_in(self, tx: Tx, giver: str, order: Order) -> CommandEnd | None:
        known = control_queries.command(tx, order.command_id)
        if known is not None:
            return self._again_in(tx, giver, order, known)
        if order.life_ms <= 0:
            return CommandEnd(order.command_id, State.EXPIRED.value, None)
        device = self._device_in(tx, giver, order)
        by, kind, body = Caller(self._actor_in(tx, order)), _kind(order), _body(order)
        if body.wish:
            self._wish_in(tx, by, order, body, device)
        else:
            new = NewCommand(body.service, kind, body.values, body.name, body.params, _seconds(order), body.message)
            self._control.command_in(tx, by, order.device_id, new, command_id=order.command_id)
        taken = control_queries.command(tx, order.command_id)
        if taken is not None and taken.state.ended:
            return end_of(taken)
        self._errands.put_in(tx, [Errand(order.command_id, order.home, giver, None)])
        return None

    def _again_in(self, tx: Tx, giver: str, order: Order, known: Command) -> CommandEnd | None:
        """What came twice is done once; the second time its end is told, if it has one."""
        # From the disk: it may have come in the same batch.
        errand = queries.errand(tx, known.id)
        same = known.device_id == order.device_id and known.home_id == order.home
        theirs = known.state.ended if errand is None else errand.giver == giver
        if not same or not theirs:
            raise OrderTaken
        # By its home it is one that this giver may know of.
        if giver == CLOUD or self._serves(giver, known.home_id):
            return end_of(known) if known.state.ended else None
        raise OrderTaken

    def _device_in(self, tx: Tx, giver: str, order: Order) -> Device:
        """From the cloud only what this hub holds; from a hub only what another holds, of a home that it serves."""
        device = device_queries.device(tx, order.device_id)
        if device is None or device.home_id != order.home:
            raise NotHere
        here, is_authority = self._devices.memory.holds(device), self._homes(order.home)
        if giver == CLOUD:
            fits = here and is_authority is False
        else:
            fits = not here and device.holder not in ("", giver) and bool(is_authority)
            fits = fits and self._serves(giver, order.home)
            if fits and self._errands.count(giver) >= MOST_OF_ONE:
                raise TooManyCommands
        if not fits:
            raise NotHere
        return device

    def _actor_in(self, tx: Tx, order: Order) -> Actor:
        """Who gave it, as this node knows them; policy is asked of them as of now, where it is done."""
        key = order.actor
        try:
            account_id = self._people.account_of_in(tx, key) if len(key) == _KEY_DIGITS else None
        except ValueError:
            account_id = None
        if account_id is None:
            raise Refused
        return Actor(account_id)

    def _wish_in(self, tx: Tx, by: Caller, order: Order, body: Body, device: Device) -> None:
        """Through the shadow of this node, so that it has what is wanted."""
        seconds, desire_in = _seconds(order), self._devices.shadows.desire_in
        desire_in(tx, by, device.id, body.service, body.values, valid_for=seconds, command_id=order.command_id)
        if self._devices.memory.holds(device) and all(value is None for value in body.values.values()):
            self._note_done_in(tx, by, order, body, device)

    def _note_done_in(self, tx: Tx, by: Caller, order: Order, body: Body, device: Device) -> None:
        """What is wanted no longer is nothing to tell a device; that it was done is known by its id."""
        place, now = control_queries.next_place(tx), tx.now
        who = by.actor.account_id
        made = Command(
            place, order.command_id, device.id, device.home_id, Kind.SET, body, State.QUEUED, None, who, None, now,
            now + order.life_ms, None,
        )  # fmt: skip
        control_queries.insert(tx, made)
        tx.settle()
        self._control.moves.move_in(tx, made, Event.ANSWER, Outcome())


def _seconds(order: Order) -> float:
    return min(order.life_ms / 1000, MAX_EXPIRES_AFTER_S)


def _kind(order: Order) -> Kind:
    try:
        return Kind(order.kind)
    except ValueError:
        raise Invalid("kind: of a later version of this program") from None


def _body(order: Order) -> Body:
    if len(order.body) > MAX_BODY + 2 * MAX_CONTENT:
        raise Invalid("body: too long")
    try:
        return decode_body(order.body)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        raise Invalid("body: cannot be read") from None
