"""What goes between hubs and their cloud beside facts, plugged into both ends: reports, journals, commands."""

import asyncio
import contextlib
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

from app.accounts.people import People
from app.control.service import Control
from app.devices.model import Device
from app.devices.service import Devices
from app.store.errors import StoreError
from app.store.store import Store
from app.sync import stream_queries as queries
from app.sync.behind import Behind
from app.sync.capture import Capture
from app.sync.cloud_end import CloudEnd, Peer, Serving
from app.sync.engine import Engine
from app.sync.errands import CLOUD, ENDS_AT_ONCE, Errands, decode_end, failed
from app.sync.journals import JournalIn, JournalOut
from app.sync.line import Line
from app.sync.mirrored import MirrorIn
from app.sync.mirrors import MirrorOut
from app.sync.orders import Taking
from app.sync.reflecting import Reflecting
from app.sync.relay import ORDERS_AT_ONCE, Relay
from app.sync.reported import ReportsIn
from app.sync.reports import ReportsOut
from app.sync.stream_queries import Errand
from app.sync.telling import Wake, taken
from app.sync.wire import (
    Answer,
    CommandEnd,
    Done,
    Ended,
    EndsTold,
    Failed,
    JournalPart,
    Mirror,
    MirrorGrown,
    Orders,
    Reports,
)
from app.sync.wire import Relay as RelayRequest

# A connection that takes no more for the moment.
RETRY_S: Final = 1.0


class Streams:
    """Both ends: a node is a cloud to its hubs (`CloudEnd`), or a hub of one cloud (`plug`)."""

    def __init__(
        self,
        store: Store,
        *,
        devices: Devices,
        control: Control,
        people: People,
        capture: Capture,
        cloud_end: CloudEnd,
        serving: Serving,
        behind: Behind,
    ) -> None:
        self._store = store
        self._homes = capture.homes
        self._cloud_end = cloud_end
        self.wake = Wake()
        dispatch = control.dispatch
        self.errands = Errands(store, control.moves)
        self.relay = Relay(store, devices.memory, people, dispatch, self.errands)
        self.taking = Taking(
            store,
            devices=devices,
            control=control,
            people=people,
            errands=self.errands,
            homes=self._homes.get,
            serves=serving.serves,
        )
        self._reports_out = ReportsOut(store, devices, self._homes, self.wake)
        self._people = people
        self._devices = devices
        self._engine: Engine | None = None
        # Ends of commands that the cloud asks about again, or that were refused: told once.
        self._at_once: dict[str, CommandEnd] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        reflecting = Reflecting(devices.memory, devices.catalogue, dispatch)
        control.moves.on_ended.append(reflecting.wish_ended_in)
        self._reports_in = ReportsIn(store, devices, reflecting)
        self._journal_in = JournalIn(store, people)
        self._mirror_out = MirrorOut(store, devices, cloud_end)
        self._reports_in.on_shown.append(self._mirror_out.said)
        self.mirror_in = MirrorIn(
            store, devices=devices, reflecting=reflecting, behind=behind, homes=self._homes, wake=self.wake
        )
        self.relay.way = self._way
        self.relay.on_queued = self._queued
        self.errands.on_ended.append(self._ended)
        devices.on_left.append(self.relay.left)
        control.elsewhere = self.relay
        self._serve(cloud_end)

    def open(self) -> None:
        """The store is open."""
        self.errands.start_housekeeping()
        self._journal_out = JournalOut(self._store, self._people, self._homes)

    async def close(self) -> None:
        """Nothing more is told."""
        self.wake.close()
        for task in (tasks := tuple(self._tasks.values())):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _way(self, device: Device) -> str | None:
        """At a hub everything goes by its cloud."""
        if self._engine is not None:
            return CLOUD if self._engine.talk.connected and self._homes.get(device.home_id) is False else None
        return device.holder if device.holder and self._cloud_end.is_connected(device.holder) else None

    def _queued(self, node: str) -> None:
        if node == CLOUD:
            self.wake.now()
        else:
            self._begin(node, self._tell_orders(node))

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """One task of a name at a time."""
        known = self._tasks.get(name)
        if known is not None and not known.done():
            work.close()
            return
        task = asyncio.create_task(work, name="sync-relay")
        self._tasks[name] = task
        task.add_done_callback(partial(self._done, name))

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]

    def _ended(self, errand: Errand, end: CommandEnd) -> None:
        if errand.giver == CLOUD:
            self.wake.now()
        elif errand.giver is not None:
            # One that does not hear it asks again.
            self._cloud_end.tell(errand.giver, EndsTold(0, [end]))

    # at a cloud

    def _serve(self, end: CloudEnd) -> None:
        end.handlers[Reports] = self._reports_in.heard
        end.handlers[JournalPart] = self._journal_in.heard
        end.handlers[Ended] = self._ends_heard
        end.handlers[RelayRequest] = self._relayed
        end.handlers[Mirror] = self._mirror_out.answer
        end.on_connected.append(lambda peer: self.relay.connected(peer.hub_id))
        end.on_disconnected.append(lambda peer: self.relay.forget(peer.hub_id))
        end.on_disconnected.append(self._reports_in.disconnected)

    async def _tell_orders(self, hub_id: str) -> None:
        while self.relay.has_more(hub_id):
            told = False
            with contextlib.suppress(StoreError):
                orders = await self.relay.orders(hub_id)
                told = not orders or self._cloud_end.tell(hub_id, Orders(0, orders))
            if not told:
                await asyncio.sleep(RETRY_S)
                if not self._cloud_end.is_connected(hub_id):
                    return
                self.relay.connected(hub_id)

    async def _ends_heard(self, peer: Peer, request: Ended) -> Answer:
        ends = request.ends[: 2 * ENDS_AT_ONCE]
        if len(ends) < len(request.ends):
            return Failed(0, "too_many", "That is more ends of commands than are told at once.", False)
        await self._store.write(lambda tx: self.errands.heard_in(tx, peer.hub_id, ends))
        return Done(0)

    async def _relayed(self, peer: Peer, request: RelayRequest) -> Answer:
        if len(request.orders) > ORDERS_AT_ONCE:
            return Failed(0, "too_many", f"At most {ORDERS_AT_ONCE} commands are handed over at once.", False)
        if ends := await self.taking.take(peer.hub_id, request.orders):
            self._cloud_end.tell(peer.hub_id, EndsTold(0, ends))
        return Done(0)

    # at a hub

    def plug(self, engine: Engine) -> None:
        """This node is a hub of the cloud that the engine talks to."""
        self._engine = engine
        self.wake.wake = engine.wake
        reports, mirrors, journal = self._reports_out.speak, self.mirror_in.speak, self._journal_out.speak
        engine.streams += [self._hand_over, self._tell_ends, reports, mirrors, journal]
        engine.hear[Orders] = self._ordered
        engine.hear[EndsTold] = self._ends_told
        engine.hear[MirrorGrown] = self.mirror_in.grown
        engine.on_connected.append(self._connected)
        engine.on_disconnected.append(partial(self.relay.forget, CLOUD))
        engine.on_disconnected.append(self.mirror_in.disconnected)
        engine.on_quiet.append(self.mirror_in.look_again)
        self._devices.absences.hears_others = self.mirror_in.is_current

    def unplug(self) -> None:
        """It has left its cloud."""
        self._engine = None
        self.wake.close()
        self.relay.forget(CLOUD)

    def _connected(self, line: Line) -> None:
        self._reports_out.connected()
        self._journal_out.connected()
        self.relay.connected(CLOUD)

    async def _hand_over(self, line: Line) -> bool:
        orders = await self.relay.orders(CLOUD)
        if orders and taken(await line.ask(RelayRequest(0, orders)), Done) is None:
            ends = [failed(order.command_id, "refused") for order in orders]
            await self._store.write(lambda tx: self.errands.heard_in(tx, CLOUD, ends))
        return self.relay.has_more(CLOUD)

    async def _tell_ends(self, line: Line) -> bool:
        kept = await self._store.read(lambda reader: queries.outcomes(reader, CLOUD, ENDS_AT_ONCE))
        ends = {end.command_id: end for end in map(decode_end, kept)}
        for command_id, end in list(self._at_once.items())[:ENDS_AT_ONCE]:
            ends.setdefault(command_id, end)
            del self._at_once[command_id]
        if not ends:
            return False
        if taken(await line.ask(Ended(0, list(ends.values()))), Done) is not None:
            await self._store.write(lambda tx: queries.drop_errands(tx, ends))
            return len(kept) == ENDS_AT_ONCE or bool(self._at_once)
        return False

    async def _ordered(self, notice: Orders) -> None:
        for end in await self.taking.take(CLOUD, notice.orders):
            self._at_once[end.command_id] = end
        if self._at_once:
            self.wake.now()

    async def _ends_told(self, notice: EndsTold) -> None:
        await self._store.write(lambda tx: self.errands.heard_in(tx, CLOUD, notice.ends))
