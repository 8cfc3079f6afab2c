"""One connection to a platform: what the hub says as its gateway, and what it hears.

One message at a time is on its way up, and the next is made when the platform has acknowledged it: what changes
meanwhile is said together. What comes down is acknowledged when it is on disk.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from typing import Final

import aiomqtt
import msgspec
import structlog
from msgspec import UNSET, Struct

from app.devices.memory import Live
from app.devices.service import Devices
from app.links.iotda.codec import event_paras as paras
from app.links.iotda.codec import events, payloads, topics
from app.links.iotda.codec.errors import IotdaError
from app.links.iotda.codec.fields import encode, given
from app.store.store import Store
from app.store.tx import Event
from app.sync.iotda import mapping, queries, roster
from app.sync.iotda.model import Reply, Silent, Upstream
from app.sync.iotda.pending import Names, Pending
from app.sync.iotda.requests import MOST_OPEN, Requests
from app.sync.iotda.roster import Effect
from app.sync.iotda.wishes import Wishes
from pairing.racing import first_of

# A platform answers what is asked of its list within it (2.8.5, 2.8.7, 2.8.9), and acknowledges what it is told.
ANSWER_S: Final = 30.0
# What it refused it may take later: a product was made there, a device was let go elsewhere.
ASK_AGAIN_S: Final = 600.0
ONLINE, OFFLINE = "ONLINE", "OFFLINE"
_OF_THE_LIST: Final = frozenset({"device.added", "device.removed", "device.rebound"})
_log = structlog.get_logger("doorstep.upstream")


class Parts(Struct, frozen=True, gc=False):
    """What a conversation works with. `demand` raises RightLost; `heard` and `batch_sent` are told of just that."""

    store: Store
    devices: Devices
    requests: Requests
    wishes: Wishes
    demand: Callable[[Upstream], None]
    heard: Callable[[str], None]
    batch_sent: Callable[[], None]


class Conversation:
    """`run` until the connection ends; `woken` when there may be something to say. `greeted` once the list is known."""

    def __init__(self, parts: Parts, upstream: Upstream, client: aiomqtt.Client) -> None:
        self._parts = parts
        self._upstream = upstream
        self._home_id = upstream.home_id
        self._client = client
        self._pending = Pending()
        self._there: dict[str, str] = {}
        self._wake = asyncio.Event()
        # Answers that leave no trace here; a platform that floods the hub loses its own.
        self._replies: deque[Reply] = deque(maxlen=MOST_OPEN)
        self._answers: dict[str, asyncio.Future[None]] = {}
        self._is_list_old = True
        # What the platform said it does not have, of what it said it has.
        self._missed: frozenset[str] = frozenset()
        self.greeted = False

    async def run(self) -> None:
        """Both directions, until one fails; raises what it failed with."""
        await first_of(self._hear(), self._tell())

    def woken(self) -> None:
        """Look for what there is to say."""
        self._wake.set()

    def told(self, event: Event) -> None:
        """Something happened in the home."""
        device_id = event.device_id or ""
        if event.type in _OF_THE_LIST:
            self._is_list_old = True
        elif device_id in self._there and event.type == "device.reported":
            self._pending.reported(device_id, *_reported(event))
        elif device_id in self._there and event.type in ("device.online", "device.offline"):
            self._pending.changed(device_id)
        self._wake.set()

    # up

    async def _tell(self) -> None:
        home_id = self._home_id
        self._there = await self._parts.store.read(lambda reader: roster.there(reader, home_id))
        self._pending.come(self._there)
        await self._parts.requests.look_again(home_id)
        asked = paras.SyncChildren(version=self._upstream.list_version)
        await self._event("sub_device_sync_request", asked)
        await self._parts.store.write(lambda tx: queries.ask_again(tx, home_id))
        self.greeted = True
        while True:
            self._wake.clear()
            while await self._say_some():
                pass
            await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(ASK_AGAIN_S):
                await self._wake.wait()
        except TimeoutError:
            home_id = self._home_id
            await self._parts.store.write(lambda tx: queries.ask_again(tx, home_id))

    async def _say_some(self) -> bool:
        """One of each kind, so that none waits for all of another; whether there was anything."""
        self._parts.demand(self._upstream)
        said = False
        for step in (self._reply, self._reconcile, self._add, self._delete, self._report, self._statuses, self._shadow):
            said |= await step()
        return said

    async def _reply(self) -> bool:
        if self._replies:
            await self._respond(self._replies.popleft())
            return True
        requests = self._parts.requests
        if (reply := await requests.next_reply(self._home_id)) is None:
            return False
        await self._respond(reply)
        await requests.answered(self._home_id, reply)
        return True

    async def _respond(self, reply: Reply) -> None:
        await self._publish(mapping.RESPONSES[reply.kind], encode(reply.payload), reply.request_id)

    async def _reconcile(self) -> bool:
        if not self._is_list_old:
            return False
        self._is_list_old = False
        home_id = self._home_id
        self._effected(await self._parts.store.write(lambda tx: roster.reconcile_in(tx, home_id)))
        return True

    async def _add(self) -> bool:
        home_id, gateway = self._home_id, self._upstream.device_id
        new = await self._parts.store.read(lambda reader: roster.additions(reader, home_id, gateway))
        if not new:
            return False
        await self._ask("add_sub_device_request", paras.AddChildren(devices=new))
        asked = [given(each.device_id, "") for each in new]
        await self._parts.store.write(lambda tx: roster.unmentioned_in(tx, home_id, asked))
        return True

    async def _delete(self) -> bool:
        home_id = self._home_id
        gone = await self._parts.store.read(lambda reader: roster.deletions(reader, home_id))
        if not gone:
            return False
        await self._ask("delete_sub_device_request", paras.DeleteChildren(devices=gone))
        await self._parts.store.write(lambda tx: roster.unmentioned_in(tx, home_id, gone))
        return True

    async def _report(self) -> bool:
        waiting = self._pending.reports(payloads.MAX_CHILDREN_MQTT)
        shown = [said for device_id, names in waiting.items() if (said := self._values(device_id, names)) is not None]
        for batch in mapping.batches(shown):
            await self._publish(topics.Kind.GATEWAY_REPORT, batch)
            self._parts.batch_sent()
        return bool(waiting)

    def _values(self, device_id: str, named: Names | None) -> payloads.DeviceProperty | None:
        """As they are now; None where there are none."""
        live = self._live(device_id)
        product = None if live is None else self._parts.devices.catalogue.get(live.device.product_id)
        if live is None or product is None:
            return None
        values = {
            service: {name: point for name, point in state.reported.items() if named is None or name in named[service]}
            for service, state in live.services.items()
            if named is None or service in named
        }
        said = mapping.services_of(product, values)
        return payloads.DeviceProperty(device_id=self._there[device_id], services=said) if said else None

    def _live(self, device_id: str) -> Live | None:
        live = self._parts.devices.memory.get(device_id)
        fit = live is not None and device_id in self._there and live.device.home_id == self._home_id
        return live if fit else None

    async def _statuses(self) -> bool:
        some = self._pending.statuses(paras.MAX_STATUSES)
        found = [
            paras.Status(device_id=self._there[device_id], status=ONLINE if live.online else OFFLINE)
            for device_id in some
            if (live := self._live(device_id)) is not None
        ]
        if found:
            await self._ask("sub_device_update_status", paras.UpdateStatuses(device_statuses=tuple(found)))
        return bool(some)

    async def _shadow(self) -> bool:
        device_id = self._pending.shadow()
        if device_id is None:
            return False
        if (remote_id := self._there.get(device_id)) is not None:
            asked = payloads.GetProperties(object_device_id=remote_id)
            await self._publish(topics.Kind.SHADOW_GET, encode(asked), uuid.uuid4().hex)
        return True

    async def _ask(self, kind: str, asked: Struct) -> None:
        """Returns when the answer is on disk; raises Silent."""
        event_id = str(uuid.uuid4())
        answered = self._answers[event_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._event(kind, asked, event_id)
                await answered
        except TimeoutError:
            raise Silent(f"no answer to {kind}") from None
        finally:
            del self._answers[event_id]

    async def _event(self, kind: str, said: Struct, event_id: str | None = None) -> None:
        named = UNSET if event_id is None else event_id
        event = events.Event(service_id=events.CHILDREN, event_type=kind, event_id=named, paras=said)
        await self._publish(topics.Kind.EVENT_UP, events.encode_events((event,)))

    async def _publish(self, kind: topics.Kind, payload: bytes, request_id: str = "") -> None:
        topic = topics.Topic(kind, self._upstream.device_id, request_id)
        await self._client.publish(str(topic), payload, qos=1, timeout=ANSWER_S)
        # What aiomqtt waits by may lose a cancellation that comes as the answer does (asyncio.wait_for before 3.12).
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise asyncio.CancelledError
        self._parts.heard(self._home_id)

    # down

    async def _hear(self) -> None:
        while True:
            message = await anext(self._client.messages)
            self._parts.heard(self._home_id)
            try:
                await self._heard(topics.parse(str(message.topic)), bytes(message.payload))
            except IotdaError as error:
                _log.info("platform misunderstood", home=self._home_id, code=error.code, why=str(error)[:200])
            # aiomqtt has no door to this, paho's public one: acknowledge when it is on disk, not when it was read.
            self._client._client.ack(message.mid, message.qos)

    async def _heard(self, topic: topics.Topic, payload: bytes) -> None:
        match topic.kind:
            case topics.Kind.COMMAND | topics.Kind.SET | topics.Kind.GET:
                reply = await self._parts.requests.take(self._upstream, topic, payload)
                if reply is not None:
                    self._replies.append(reply)
            case topics.Kind.SHADOW_GET_RESPONSE:
                await self._parts.wishes.take(self._upstream, payload)
            case topics.Kind.EVENT_DOWN:
                for event in events.decode_down(payload).events:
                    await self._heard_event(event)
            case _:
                return  # what is for devices with a model of their own, or for those who asked for it
        self._wake.set()

    async def _heard_event(self, event: events.Event) -> None:
        home_id, write = self._home_id, self._parts.store.write
        match event.paras:
            case paras.AddedChildren() as added:
                self._effected(await write(lambda tx: roster.added_in(tx, home_id, added)))
            case paras.DeletedChildren() as deleted:
                await write(lambda tx: roster.deleted_in(tx, home_id, deleted))
            case paras.StatusesUpdated() as updated:
                missed, self._missed = self._missed, self._missed | _failed(updated)
                self._effected(await write(lambda tx: roster.missing_in(tx, home_id, updated, missed)))
            case paras.ChildrenAdded() as listed:
                self._effected(await write(lambda tx: roster.listed_in(tx, home_id, listed)))
            case paras.ChildrenDeleted() as let_go:
                self._effected(await write(lambda tx: roster.let_go_in(tx, home_id, let_go)))
        waiting = self._answers.get(given(event.event_id, ""))
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _effected(self, effect: Effect) -> None:
        """The list is on disk as it is now."""
        for device_id in effect.gone:
            self._there.pop(device_id, None)
        self._pending.gone(effect.gone)
        self._there |= effect.come
        self._pending.come(effect.come)


def _reported(event: Event) -> tuple[str, list[str]]:
    """The service and the properties of a report."""
    said = msgspec.json.decode(event.data)
    return said["service"], list(said["values"])


def _failed(answer: paras.StatusesUpdated) -> frozenset[str]:
    return frozenset(given(reason.device_id, "") for reason in answer.failed_devices)
