"""Desired values as commands: delivered when the device is there, over when it is so, and said again if it is not."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from app.caller import Caller
from app.control import queries
from app.control.dispatch import Dispatch
from app.control.model import MAX_OPEN_PER_DEVICE, Body, Command, NewCommand, Outcome, TooManyCommands
from app.control.moves import Moves
from app.control.states import Event, State
from app.devices import queries as device_queries
from app.devices.service import Devices
from app.devices.shadow_state import ServiceState
from app.policy import SYSTEM, Actor
from app.store.tx import Tx

# A device that says otherwise each time it is told has its reasons (a thermostat that stops at 28 degrees).
MOST_AGAIN: Final = 3


class InsertIn(Protocol):
    """`Control.insert_in`."""

    def __call__(
        self,
        tx: Tx,
        actor: Actor,
        device_id: str,
        new: NewCommand,
        *,
        body: Body,
        home_id: str,
        command_id: str | None = None,
    ) -> tuple[Command, bytes]:
        """The command as kept and as shown."""


class Wishes:
    """Told by the shadow, within the transaction that changes it."""

    def __init__(self, devices: Devices, dispatch: Dispatch, moves: Moves, *, insert_in: InsertIn) -> None:
        self._devices = devices
        self._dispatch = dispatch
        self._moves = moves
        self._insert_in = insert_in

    def desired_in(
        self,
        tx: Tx,
        by: Caller,
        device_id: str,
        service: str,
        wanted: Mapping[str, Any],
        *,
        valid_for: float,
        command_id: str | None = None,
    ) -> None:
        """Values are wanted of a device (None: no longer): have them set once it is there, in the place of older ones.

        What the device has been told already stays, and the newer wish comes after it. The hub that holds a device is
        told as well of what is wanted no longer. `command_id` is what another node calls the wish. Raises
        DeviceUnbound, TooManyCommands.
        """
        self._devices.registry.demand_bound_in(tx, device_id)
        for old in self._dispatch.wishes(device_id, service):
            if old.state is State.QUEUED and old.body.values.keys() <= wanted.keys():
                self._moves.end_in(tx, old, "superseded")
        # From the disk: memory does not know yet of a transfer in the same batch.
        device = device_queries.device(tx, device_id)
        here = device is None or self._devices.memory.holds(device)
        values = {name: value for name, value in wanted.items() if value is not None or not here}
        if device is not None and values:
            if self._dispatch.count(device_id) >= MAX_OPEN_PER_DEVICE:
                raise TooManyCommands
            new = NewCommand(service, values=values, expires_in=valid_for)
            body = Body(service, values=values, wish=True)
            self._insert_in(tx, by.actor, device_id, new, body=body, home_id=device.home_id, command_id=command_id)

    def reported_in(self, tx: Tx, device_id: str, service: str) -> None:
        """The device says what it is: wishes that are met end, and what it has been told and is not is said again."""
        known = self._dispatch.wishes(device_id, service)
        if not known:
            return
        state = self._devices.shadows.state_in(tx, device_id, service)
        for wish in queries.commands(tx, [command.id for command in known]):
            if wish.state.ended:
                continue
            if _is_met(wish, state):
                self._moves.move_in(tx, wish, Event.ANSWER, Outcome(dict(wish.body.values)))
            elif wish.state is State.DELIVERED and _is_otherwise(wish, state):
                self._say_again_in(tx, wish, state)

    def _say_again_in(self, tx: Tx, wish: Command, state: ServiceState) -> None:
        """As a new command, for a device does each once, until the same time; unless something else is wanted now."""
        body = wish.body
        if not _is_wanted(wish, state) or body.again >= MOST_AGAIN or wish.expires_at <= tx.now:
            return
        self._moves.end_in(tx, wish, "reported_otherwise")
        new = NewCommand(body.service, values=body.values, expires_in=(wish.expires_at - tx.now) / 1000)
        again = Body(body.service, values=body.values, wish=True, again=body.again + 1)
        self._insert_in(tx, SYSTEM, wish.device_id, new, body=again, home_id=wish.home_id)


def _is_met(wish: Command, state: ServiceState) -> bool:
    """Every value of it was reported, since it was asked for."""
    return all(
        (point := state.reported.get(name)) is not None and point.at >= wish.created_at and point.decoded == value
        for name, value in wish.body.values.items()
    )


def _is_otherwise(wish: Command, state: ServiceState) -> bool:
    """Another value of it was reported after it was asked for; the report that made it be said again is none."""
    return any(
        (point := state.reported.get(name)) is not None and point.at > wish.created_at and point.decoded != value
        for name, value in wish.body.values.items()
    )


def _is_wanted(wish: Command, state: ServiceState) -> bool:
    """All of it is in the shadow still."""
    return all(
        (point := state.desired.get(name)) is not None and point.decoded == value
        for name, value in wish.body.values.items()
    )
