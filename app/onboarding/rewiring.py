"""A new router: the Wi-Fi of a home's devices is changed in one act, each told over its link, and none lost by it.

A device tries the new network and goes back by itself unless the hub, seeing it return, has it keep that. Every step is
on disk before it is told; a stop of the hub in between costs no more than a device's going back and trying again.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import msgspec
import structlog

from app.accounts.model import Account
from app.caller import Caller, demand
from app.devices.model import Device
from app.devices.service import Devices
from app.errors import DoorstepError, NotFound
from app.homes.model import Home, Member
from app.homes.standing import Standings
from app.onboarding import rewiring_queries as queries
from app.onboarding.network_model import checked
from app.onboarding.networks import Networks
from app.onboarding.rewiring_model import (
    Event,
    Late,
    Mover,
    Order,
    Progress,
    State,
    WifiChange,
    WifiChangeOpen,
    WifiChangeView,
    mover_view,
    step,
    view_of,
)
from app.policy import SYSTEM, Action, Actor
from app.store.errors import StoreError
from app.store.retention import KEEP
from app.store.store import Store
from app.store.tx import Change, Reader, Tx
from pairing.messages import Hello, Wifi, WifiKeep
from pairing.wifi import WifiNetwork

# Long enough to bring those that are switched off, or were not reached, onto the new network.
LIFETIME_MS: Final = 60 * 60 * 1000
_log = structlog.get_logger("doorstep.wifi")


class NetworkLink(Protocol):
    """The links of devices that can be told of another network."""

    def hello_of(self, device_id: str) -> Hello | None:
        """What the device said of itself when it linked; None when it is not linked now."""

    def order(self, device_id: str, message: Wifi | WifiKeep) -> bool:
        """Hand it over; False when the device is not linked (any more)."""


class Unlinked:
    """Without links."""

    def hello_of(self, device_id: str) -> Hello | None:
        return None

    def order(self, device_id: str, message: Wifi | WifiKeep) -> bool:
        return False


class Rewiring:
    """`link` is set by the server; it tells `heard` what devices say of their network."""

    def __init__(self, store: Store, standings: Standings, devices: Devices, networks: Networks) -> None:
        self._store = store
        self._standings = standings
        self._devices = devices
        self._networks = networks
        self.link: NetworkLink = Unlinked()
        self._open: dict[str, str] = {}  # the moves, by home
        self._inbox: asyncio.Queue[tuple[str, Event]] = asyncio.Queue()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._working: asyncio.Task[None] | None = None
        self._expiring = store.later(self._expire_in)

    async def open(self) -> None:
        """Take up what the last stop left open."""
        for change, movers in await self._store.read(_left_open):
            self._begin(change, movers)
        self._working = asyncio.create_task(self._work(), name="wifi-changes")

    async def close(self) -> None:
        """Stop where it is: the next `open` takes it up."""
        for timer in self._timers.values():
            timer.cancel()
        if self._working is not None:
            self._working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._working

    # what people ask

    async def start(self, by: Caller, home_id: str, ssid: str, password: str | None, bssid: str) -> WifiChangeView:
        """Move the home's devices to that network, by the password the home knows where none is given.

        Raises NotFound, Refused, Invalid (no device could join it), WifiNetworkUnknown, WifiChangeOpen.
        """
        demand(by.actor, Action.PAIR, self._standings.home(by.actor, home_id), self._store.clock.now())
        if password is None:
            known = await self._networks.known(home_id, ssid)
            password, bssid = known.password, bssid or known.bssid
        network = checked(ssid, password, bssid)
        return await self._store.write(
            lambda tx: self._start_in(tx, by, home_id, network), once=by.once, returns=WifiChangeView
        )

    def _start_in(self, tx: Tx, by: Caller, home_id: str, network: WifiNetwork) -> WifiChangeView:
        self._demand(tx, by.actor, home_id)
        if (running := queries.open_of_home(tx, home_id)) is not None:
            raise WifiChangeOpen(id=running.id)
        queries.make_room(tx, home_id, KEEP["wifi_changes"].most or 1)
        account, ends = by.actor.account_id or "", tx.now + LIFETIME_MS
        change = WifiChange(tx.new_id(), home_id, account, network.ssid, State.OPEN, tx.now, ends)
        linked = self._devices.registry.linked_in(tx, home_id)
        movers = [Mover(device_id, Progress.UNREACHABLE) for device_id in linked]
        queries.insert(tx, change, movers)
        self._store.vault.keep(tx, _row(change.id), msgspec.json.encode(network))
        tx.record(by.actor, _told(change, "started", {"ssid": change.ssid}))
        tx.after(partial(self._begin, change, movers))
        if not movers:
            return self._end_in(tx, by.actor, change, State.ENDED)
        return view_of(change, movers)

    async def get(self, actor: Actor, home_id: str, change_id: str) -> WifiChangeView:
        """One move; raises NotFound, Refused."""
        demand(actor, Action.PAIR, self._standings.home(actor, home_id), self._store.clock.now())
        return await self._store.read(lambda reader: _found(reader, home_id, change_id))

    async def changes(self, actor: Actor, home_id: str) -> list[WifiChangeView]:
        """The home's moves, newest first; raises NotFound, Refused."""
        demand(actor, Action.PAIR, self._standings.home(actor, home_id), self._store.clock.now())
        return await self._store.read(
            lambda reader: [view_of(each, queries.movers(reader, each.id)) for each in queries.of_home(reader, home_id)]
        )

    async def cancel(self, by: Caller, home_id: str, change_id: str) -> WifiChangeView:
        """Tell no further device, and have none keep what it tries; a move that has ended stays as it ended."""

        def act(tx: Tx) -> WifiChangeView:
            self._demand(tx, by.actor, home_id)
            view = _found(tx, home_id, change_id)
            change = queries.get(tx, change_id)
            if change is None or change.ended_at is not None:
                return view
            return self._end_in(tx, by.actor, change, State.CANCELLED)

        return await self._store.write(act)

    def _demand(self, tx: Tx, actor: Actor, home_id: str) -> None:
        demand(actor, Action.PAIR, self._standings.home_in(tx, actor, home_id), tx.moment)

    # what devices say

    def heard(self, device_id: str, event: Event) -> None:
        """A device says something of its network."""
        live = self._devices.memory.get(device_id)
        if live is not None and live.device.home_id in self._open:
            self._inbox.put_nowait((device_id, event))

    async def _work(self) -> None:
        """One after the other: what a device says next is about what it was told before."""
        while True:
            device_id, event = await self._inbox.get()
            try:
                await self._take(device_id, event)
            except (StoreError, DoorstepError) as error:
                # It is told anew when the device links next.
                _log.warning("a device's move was not kept", device=device_id, code=error.code)

    async def _take(self, device_id: str, event: Event) -> None:
        mover, order = await self._store.write(lambda tx: self._step_in(tx, device_id, event))
        if order is not None:
            self.link.order(device_id, order)
        if mover is not None:
            self._await(mover)

    def _step_in(self, tx: Tx, device_id: str, event: Event) -> tuple[Mover | None, Wifi | WifiKeep | None]:
        found = queries.open_of_device(tx, device_id)
        if found is None:
            return None, None
        change, mover = found
        after, order = step(mover, change, event)
        message = self._message(tx, change, order)
        if after != mover:
            queries.put_mover(tx, change.id, after)
            tx.record(SYSTEM, _told(change, "moved", mover_view(after), audit=after.state.ended))
        if after.state is Progress.DONE and (network := self._network(tx, change)) is not None:
            self._networks.joined_in(tx, Actor(change.account_id), change.home_id, network)
        if after.state.ended and all(each.state.ended for each in queries.movers(tx, change.id)):
            self._end_in(tx, SYSTEM, change, State.ENDED)
        return (None if after == mover and order is None else after), message

    def _message(self, reader: Reader, change: WifiChange, order: Order | None) -> Wifi | WifiKeep | None:
        if order is Order.TRY and (network := self._network(reader, change)) is not None:
            return Wifi(change.id, network.ssid, network.password, network.bssid)
        return WifiKeep(change.id) if order is Order.KEEP else None

    def _network(self, reader: Reader, change: WifiChange) -> WifiNetwork | None:
        kept = self._store.vault.fetch(reader, _row(change.id))
        return None if kept is None else msgspec.json.decode(kept, type=WifiNetwork)

    # time

    def _begin(self, change: WifiChange, movers: list[Mover]) -> None:
        """On the event loop: a move is open, and who is linked is spoken to."""
        self._open[change.home_id] = change.id
        left = max(0.0, (change.expires_at - self._store.clock.now().ms) / 1000)
        self._later(change.id, left, partial(self._expiring.add, change.id))
        for mover in movers:
            self._await(mover)
            if (hello := self.link.hello_of(mover.device_id)) is not None:
                self.heard(mover.device_id, hello)

    def _await(self, mover: Mover) -> None:
        if mover.state.patience is not None:
            self._later(mover.device_id, mover.state.patience, partial(self._late, mover))
        elif (timer := self._timers.pop(mover.device_id, None)) is not None:
            timer.cancel()

    def _late(self, mover: Mover) -> None:
        linked = self.link.hello_of(mover.device_id) is not None
        self.heard(mover.device_id, Late(mover.state, linked))

    def _later(self, key: str, seconds: float, act: Callable[[], None]) -> None:
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, act)

    def _expire_in(self, tx: Tx, change_ids: list[str]) -> None:
        for change_id in change_ids:
            change = queries.get(tx, change_id)
            if change is not None and change.ended_at is None:
                self._end_in(tx, SYSTEM, change, State.EXPIRED)

    # ends

    def _end_in(self, tx: Tx, actor: Actor, change: WifiChange, state: State) -> WifiChangeView:
        """Nothing more is awaited, and the password is forgotten. What is under way is let be, but for a rollback's."""
        self._store.vault.forget(tx, _row(change.id))
        for mover in queries.movers(tx, change.id):
            if not mover.state.ended and (state is State.CANCELLED or mover.state is not Progress.UNREACHABLE):
                queries.put_mover(tx, change.id, msgspec.structs.replace(mover, state=Progress.LET_BE))
        queries.end(tx, change.id, state)
        tx.record(actor, _told(change, "ended", {"state": state.value}))
        tx.after(partial(self._ended, change, [mover.device_id for mover in queries.movers(tx, change.id)]))
        return _found(tx, change.home_id, change.id)

    def _ended(self, change: WifiChange, device_ids: list[str]) -> None:
        if self._open.get(change.home_id) == change.id:
            del self._open[change.home_id]
        for key in (change.id, *device_ids):
            if (timer := self._timers.pop(key, None)) is not None:
                timer.cancel()

    def member_leaving_in(self, tx: Tx, by: Caller, member: Member) -> None:
        """Somebody leaves a home: the move they began there ends."""
        change = queries.open_of_home(tx, member.home_id)
        if change is not None and change.account_id == member.account_id:
            self._end_in(tx, by.actor, change, State.CANCELLED)

    def account_linked_in(self, tx: Tx, by: Caller, account: Account, to: str) -> None:
        """The move that `account` began is the account `to`'s."""
        queries.hand_on(tx, account.id, to)

    def home_dissolving_in(self, tx: Tx, by: Caller, home: Home) -> None:
        """A home ends, and the move it is in."""
        if (change := queries.open_of_home(tx, home.id)) is not None:
            self._end_in(tx, by.actor, change, State.CANCELLED)

    def device_leaving_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """A device leaves its home: it is no part of the move any more, and perhaps was the last awaited."""
        if (found := queries.open_of_device(tx, device.id)) is not None:
            change = found[0]
            queries.delete_mover(tx, change.id, device.id)
            if all(each.state.ended for each in queries.movers(tx, change.id)):
                self._end_in(tx, by.actor, change, State.ENDED)


def _left_open(reader: Reader) -> list[tuple[WifiChange, list[Mover]]]:
    return [(change, queries.movers(reader, change.id)) for change in queries.open_changes(reader)]


def _found(reader: Reader, home_id: str, change_id: str) -> WifiChangeView:
    change = queries.get(reader, change_id)
    if change is None or change.home_id != home_id:
        raise NotFound
    return view_of(change, queries.movers(reader, change_id))


def _row(change_id: str) -> str:
    return f"wifi_change/{change_id}"


def _told(change: WifiChange, what: str, data: object, *, audit: bool = True) -> Change:
    kind = f"wifi_change.{what}"
    return Change(kind, "wifi_change", change.id, change.home_id, Action.PAIR, data=data, audit=audit)
