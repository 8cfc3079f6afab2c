"""Heartbeats: what a device says goes in, and what it is to do goes out, in one act each."""

import time
from typing import Final, Literal, cast

from app.accounts.codes import hash_token
from app.caller import demand
from app.companion.limits import Buckets, refusal
from app.control.model import Command
from app.control.service import Control
from app.devices.credential_model import HEARTBEAT
from app.devices.model import Device
from app.devices.reset_model import Departing
from app.devices.service import Devices
from app.errors import NotFound
from app.links.heartbeat import queries
from app.links.heartbeat.codec import FACTORY_RESET, Beat, Heard, Order
from app.links.heartbeat.queries import HeartbeatView, view_of
from app.policy import Action, Actor
from app.store.store import Store
from app.store.tx import Tx
from pairing.text import clean

# What the hub wants: "typically within 60 seconds" a device hears of what waits for it (Bota's page of the reset).
EVERY_S: Final = 60
# A device is gone when so many intervals have passed without it: one may be lost, and the next be late.
MISSED: Final = 3
# Of one device: an answer is worth a heartbeat of its own, and after a long absence there is much to answer.
BEATS_AT_ONCE: Final = 60
BEATS_PER_SECOND: Final = 1.0
MOST_CALLERS: Final = 50_000
# What a device may say of its interval: more often costs the disk, more rarely nobody would call it online.
EVERY_LEAST_S: Final = 5
EVERY_MOST_S: Final = 3600


class Heartbeats:
    """The hub's end. `device_of` and `departing_of` say whose a token is, from memory."""

    def __init__(self, store: Store, devices: Devices, control: Control) -> None:
        self._store = store
        self._devices = devices
        self._control = control
        self._pace = Buckets(BEATS_PER_SECOND, BEATS_AT_ONCE, MOST_CALLERS)

    def __len__(self) -> int:
        """How many devices call home now."""
        return self._devices.presence.count(HEARTBEAT)

    async def last(self, actor: Actor, device_id: str) -> HeartbeatView:
        """The newest of a device; raises NotFound (there is none), Refused."""
        resource = self._devices.access.device(actor, device_id)
        demand(actor, Action.DEVICE_READ, resource, self._store.clock.now())
        found = await self._store.read(lambda reader: queries.last(reader, device_id))
        if found is None:
            raise NotFound
        return view_of(found)

    def take(self, name: str) -> None:
        """Count a heartbeat of that device; raises TooMany. One fills a log, which is everybody's, all too fast."""
        if (wait := self._pace.take(name, time.monotonic())) > 0:
            raise refusal(wait)

    def device_of(self, token: str) -> Device | None:
        """The device that calls home with this token; None where it is wrong, renewed or revoked."""
        live = self._devices.memory.get(self._devices.credentials.by_token(hash_token(token)) or "")
        return None if live is None or live.device.unbound_at is not None else live.device

    def departing_of(self, token: str) -> Departing | None:
        """The open reset that this token, revoked by it, may still hear of."""
        return self._devices.resets.by_token(hash_token(token))

    async def beat(self, device: Device, beat: Beat) -> Heard:
        """All of it is on disk when this returns. Raises NotFound (it has just left), DeviceFrozen, StoreError."""
        every = min(max(beat.every or EVERY_S, EVERY_LEAST_S), EVERY_MOST_S)
        taken = await self._store.write(lambda tx: self._beat_in(tx, device, beat, every))
        self._devices.online(device.id, HEARTBEAT, lifetime=every * MISSED)
        return Heard(self._store.clock.now().ms, EVERY_S, tuple(_order(command) for command in taken))

    def _beat_in(self, tx: Tx, device: Device, beat: Beat, every: int) -> list[Command]:
        # First of all, for they say whether the device is here (any more), and may be.
        self._devices.demand_unfrozen_in(tx, device.id)
        self._devices.registry.runs_in(tx, device.id, "" if beat.firmware is None else clean(beat.firmware))
        queries.put(tx, device.id, beat, every)
        for said in beat.services:
            self._devices.reported_in(tx, device.id, said.service, said.values, said.at)
        self._control.acknowledged_in(tx, device.id, beat.acknowledged)
        for done in beat.answers:
            error = None if done.error is None else clean(done.error)
            self._control.answered_in(tx, device.id, done.id, ok=done.ok, values=done.values, error=error)
        return self._control.take_in(tx, device.id)

    async def last_words(self, departing: Departing, beat: Beat) -> Heard:
        """To who was reset: that, until it has acknowledged it. Nothing else of what it says is taken."""
        reset, now = departing.reset, self._store.clock.now().ms
        if any(done.id == reset.id and done.ok for done in beat.answers):
            await self._devices.resets.confirmed(reset.hardware_id, reset.id)
            return Heard(now, EVERY_S)
        self._devices.resets.delivered(reset.hardware_id)
        return Heard(now, EVERY_S, (Order(reset.id, FACTORY_RESET, reset.expires_at),))


def _order(command: Command) -> Order:
    body, kind = command.body, cast('Literal["set", "get", "call"]', command.kind.value)  # it takes no others
    return Order(command.id, kind, command.expires_at, body.service, body.values, body.name, body.params)
