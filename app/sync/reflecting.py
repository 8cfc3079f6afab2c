"""What the hub that holds a device says of its shadow, shown by a node that does not hold it (PROTOCOL.md 1).

That hub's versions order what it says. What is wanted through this node and under way to the hub is ahead of what the
hub says is wanted, and stays until it has ended.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from app.clock import LAST_MS
from app.control.dispatch import Dispatch
from app.control.model import Command
from app.control.states import State
from app.devices import queries as device_queries
from app.devices.changes import change
from app.devices.memory import Memory
from app.devices.model import Device
from app.devices.product.catalogue import Catalogue
from app.devices.product.model import Service
from app.devices.product.values import sort_report
from app.devices.shadow_state import Point
from app.policy import SYSTEM
from app.store.tx import Tx
from app.sync import mirror_queries as queries
from app.sync.mirror_queries import Heard

# More than any version comes to; a larger number comes from no node of this program.
MOST: Final = 2**53
Said: TypeAlias = Mapping[str, tuple[Any, int]]
Points: TypeAlias = dict[str, Point]
_text = msgspec.json.Encoder().encode
_points = msgspec.json.Decoder(dict[str, Point]).decode


class Told(Struct, frozen=True):
    """What a hub's life `node` says of one service; each value with its time in ms."""

    node: str
    owner_epoch: int
    service: str
    version: int
    reported: Said
    desired: Said


class _Changes(Struct, frozen=True):
    reported: Points
    desired: dict[str, Point | None]


class Reflecting:
    """Shadows of devices that other hubs hold. Everything inside one act."""

    def __init__(self, memory: Memory, catalogue: Catalogue, dispatch: Dispatch) -> None:
        self._memory = memory
        self._catalogue = catalogue
        self._dispatch = dispatch

    def told_in(self, tx: Tx, device: Device, told: Told, place: int = 0) -> bool:
        """Show it; False for what is older than what was shown, or is of no service of the product's model.

        `place`: at a cloud, where it stands for the home's other hubs.
        """
        product = self._catalogue.get(device.product_id)
        model = None if product is None else product.service(told.service)
        if model is None or not 0 <= told.version < MOST:
            return False
        heard = queries.heard(tx, device.id, told.service)
        if heard is not None and heard.node == told.node and _age(told) < _age(heard):
            return False
        reported, desired = _sound(model, told.reported), _sound(model, told.desired)
        kept = Heard(told.node, told.owner_epoch, told.version, _text(desired).decode(), device.home_id, place)
        queries.put_heard(tx, device.id, told.service, kept)
        wishes = self._dispatch.wishes(device.id, told.service)
        said = _Changes(reported, _overlaid(desired, wishes))
        self._show_in(tx, device, told.service, said, told.version)
        return True

    def wish_ended_in(self, tx: Tx, command: Command) -> None:
        """A wish that will not be: what its hub says is wanted holds again. One that was met, the hub tells of."""
        device = device_queries.device(tx, command.device_id) if command.body.wish else None
        if device is None or self._memory.holds(device) or command.state is State.ANSWERED:
            return
        service = command.body.service
        heard = queries.heard(tx, device.id, service)
        others = [it for it in self._dispatch.wishes(device.id, service) if it.id != command.id]
        if heard is not None:
            self._show_in(tx, device, service, _Changes({}, _overlaid(_points(heard.desired), others)))

    def _show_in(self, tx: Tx, device: Device, service: str, said: _Changes, version: int = 0) -> None:
        """What `said` changes of what is shown; all that is wanted is in it."""
        state = device_queries.service_state(tx, device.id, service)
        gone = dict.fromkeys(state.desired.keys() - said.desired.keys())
        changed = _Changes(
            {name: it for name, it in said.reported.items() if state.reported.get(name) != it},
            {name: it for name, it in (said.desired | gone).items() if _differs(state.desired.get(name), it)},
        )
        if not changed.reported and not changed.desired:
            return
        # This node's versions grow with each change it shows; they are the hub's own where nothing was done here.
        now = max(version, state.version + 1)
        device_queries.reflect(tx, device.id, service, version=now, reported=changed.reported, desired=changed.desired)
        tx.after(lambda: self._remember(device.id, service, now, changed))
        for kind, points in (("device.reported", changed.reported), ("device.desired", changed.desired)):
            if points:
                values = {name: None if it is None else msgspec.Raw(it.value.encode()) for name, it in points.items()}
                data = {"service": service, "values": values, "version": now}
                tx.record(SYSTEM, change(kind, device, data, audit=False))

    def _remember(self, device_id: str, service: str, version: int, changed: _Changes) -> None:
        if (live := self._memory.get(device_id)) is not None:
            live.reported(service, version, changed.reported)
            live.desired(service, version, changed.desired)


def _age(it: Told | Heard) -> tuple[int, int]:
    return it.owner_epoch, it.version


def _sound(model: Service, said: Said) -> Points:
    """What fits the product's model, at a time that there is."""
    fitting, _ = sort_report(model, {name: value for name, (value, at) in said.items() if 0 <= at <= LAST_MS})
    return {name: Point(_text(value).decode(), said[name][1]) for name, value in fitting.items()}


def _overlaid(desired: Points, wishes: Iterable[Command]) -> dict[str, Point | None]:
    wanted: dict[str, Point | None] = dict(desired)
    for wish in wishes:
        for name, value in wish.body.values.items():
            wanted[name] = None if value is None else Point(_text(value).decode(), wish.created_at)
    return wanted


def _differs(one: Point | None, other: Point | None) -> bool:
    """As to what is wanted: the same value, wanted a moment apart at the hub and here, is no news."""
    return (None if one is None else one.value) != (None if other is None else other.value)
