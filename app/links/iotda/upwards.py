"""What devices say over MQTT, each message as one act on the services: `app.links.mqtt.ports.Hearing`."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from app.control.service import Control
from app.devices.model import Device, DeviceFrozen, DeviceMoved
from app.devices.service import Devices
from app.errors import DoorstepError, NotFound
from app.journal.model import Entry
from app.journal.model import Kind as Noted
from app.journal.service import Journal
from app.links.iotda.codec import events, names, payloads, topics
from app.links.iotda.codec.errors import IotdaError, TopicUnknownError
from app.links.iotda.codec.fields import decode, encode, given
from app.links.iotda.downwards import LINK, Downwards
from app.links.iotda.messages import Messages
from app.links.iotda.reports import Reports
from app.links.iotda.shadows import ShadowAnswers
from app.links.iotda.speaking import Act, Handlers, Spoken
from app.links.iotda.whose import Whose
from app.links.mqtt.errors import Declined, Reason
from app.links.mqtt.ports import Connected, Message, Principal
from app.store.store import Store
from app.store.tx import Tx

# Of a device that says what cannot be read, so often a note: it says it again and again.
NOTE_EVERY_MS: Final = 60_000
_log = structlog.get_logger("doorstep.iotda")


class Upwards:
    """`handlers` are the events'; `on_connected` is told of devices as they come, on the event loop."""

    def __init__(
        self,
        store: Store,
        devices: Devices,
        control: Control,
        journal: Journal,
        *,
        whose: Whose,
        down: Downwards,
        reports: Reports,
        messages: Messages,
        shadows: ShadowAnswers,
        handlers: Handlers,
    ) -> None:
        self._store = store
        self._devices = devices
        self._control = control
        self._journal = journal
        self._whose = whose
        self._down = down
        self._reports = reports
        self._messages = messages
        self._shadows = shadows
        self._handlers = handlers
        self._noted: dict[str, int] = {}
        self.on_connected: list[Callable[[Device], None]] = []
        devices.on_left.append(lambda device: self._forget(device.id))

    # Hearing

    def connected(self, principal: Principal, how: Connected) -> None:
        """It is there, and so is who was there behind it: what waits for them goes out."""
        if (device := self._whose.device(principal.device_id)) is None:
            return
        if not how.resumed and how.via != "broker":
            self._down.settle(device.id, lambda: self._listens(principal.device_id))
        self._devices.online(device.id, LINK)
        there = [child for child in self._whose.behind(device) if self._whose.is_there(child.id)]
        for child in there:
            self._devices.online(child.id, LINK)
        for told in self.on_connected:
            for each in (device, *there):
                told(each)

    def subscribed(self, principal: Principal) -> None:
        """What waited for that goes out, to it and to who is behind it."""
        self._down.settled(principal.device_id)
        self._listens(principal.device_id)

    def _listens(self, device_id: str) -> None:
        if (device := self._whose.device(device_id)) is not None:
            for each in (device, *self._whose.behind(device)):
                self._control.dispatch.listens(each.id)

    def disconnected(self, principal: Principal, why: str) -> None:
        """It is there no more."""
        _log.info("device disconnected", device=principal.device_id, why=why)
        self._down.settled(principal.device_id)
        self._devices.offline(principal.device_id, LINK)

    async def published(self, principal: Principal, messages: Sequence[Message]) -> Sequence[DoorstepError | None]:
        """Each message is an act of its own; they share a commit, in order.

        What follows an event waits for it: that may have added the device which the next report is of.
        """
        outcomes: list[DoorstepError | None] = []
        together: list[Message] = []
        for message in messages:
            together.append(message)
            if message.topic.endswith(topics.Kind.EVENT_UP.value):
                outcomes += await self._taken_together(principal, together)
                together = []
        return outcomes + await self._taken_together(principal, together)

    async def _taken_together(self, principal: Principal, messages: list[Message]) -> list[DoorstepError | None]:
        if len(messages) == 1:
            return [await self._taken(principal, messages[0])]
        return list(await asyncio.gather(*(self._taken(principal, message) for message in messages)))

    async def _taken(self, principal: Principal, message: Message) -> DoorstepError | None:
        if (speaker := self._whose.device(principal.device_id)) is None:
            return NotFound()
        try:
            act = self._act(speaker, message)
        except IotdaError as error:
            self._note(principal.device_id, message.topic, error)
            unknown = isinstance(error, TopicUnknownError)
            return Declined(Reason.TOPIC_NAME if unknown else Reason.PAYLOAD_FORMAT, str(error))
        except DoorstepError as error:
            return error

        def kept(tx: Tx) -> None:
            self._devices.registry.demand_current_in(tx, speaker)
            self._devices.demand_unfrozen_in(tx, speaker.id)
            act(tx)
            if message.seen is not None:
                message.seen.keep_in(tx)

        try:
            await self._store.write(kept)
        except DeviceMoved:  # to another home meanwhile: what it says is for that one
            return await self._taken(principal, message)
        except (NotFound, DeviceFrozen) as error:  # it has just left its home, or is kept out since
            return error
        return None

    def _act(self, speaker: Device, message: Message) -> Act:
        topic = topics.parse(message.topic)
        payload, now = message.payload, self._store.clock.now().ms
        match topic.kind:
            case topics.Kind.REPORT:
                return self._reports.of_device(speaker, decode(payloads.report, payload).services, LINK)
            case topics.Kind.GATEWAY_REPORT:
                return self._of_gateway(speaker, payload)
            case topics.Kind.MESSAGE_UP:
                return self._message(speaker, payload, now)
            case topics.Kind.USER:
                return self._messages.act(speaker, payload, now, topic=topic.rest)
            case topics.Kind.SHADOW_GET:
                return self._shadow(speaker, topic.rest, payload)
            case topics.Kind.EVENT_UP:
                return self._events(speaker, payload, now)
            case topics.Kind.COMMAND_RESPONSE | topics.Kind.SET_RESPONSE | topics.Kind.GET_RESPONSE:
                return self._response(speaker, topic, payload)
        raise TopicUnknownError(message.topic[:200])

    def _of_gateway(self, speaker: Device, payload: bytes) -> Act:
        report = payloads.decode_gateway_report(payload, payloads.MAX_CHILDREN_MQTT)
        act, strange = self._reports.of_gateway(speaker, report, LINK)
        if strange:
            self._note(speaker.id, "sub_devices", IotdaError(f"no device behind this gateway: {strange[0][:128]}"))
        return act

    def _message(self, speaker: Device, payload: bytes, now: int) -> Act:
        read = payloads.decode_message(payload)
        device = speaker if read is None else self._whose.meant(speaker, read.object_device_id)
        return self._messages.act(device, payload, now, content=read)

    def _shadow(self, speaker: Device, request_id: str, payload: bytes) -> Act:
        asked = decode(payloads.get_properties, payload) if payload.strip() else payloads.GetProperties()
        device = self._whose.meant(speaker, asked.object_device_id)
        return self._shadows.act(speaker, device, request_id, given(asked.service_id, ""))

    # answers

    def _response(self, speaker: Device, topic: topics.Topic, payload: bytes) -> Act:
        """To the command whose id the request's is, of the device or of one behind it."""
        ok, values, error = self._outcome(topic.kind, payload)

        def act(tx: Tx) -> None:
            # A response names no device: whose the command is decides, if it is the speaker's to answer.
            device_id = self._control.device_of_in(tx, topic.rest)
            device = None if device_id is None else self._whose.device(device_id)
            if device is None or speaker.id not in (device.id, device.gateway_id):
                return
            said = self._named(device, topic.kind, values)
            # What a device answers to a read is no report (2.3), nor is what a command results in.
            self._control.answered_in(tx, device.id, topic.rest, ok=ok, values=said, error=error, hold=False)

        return act

    def _outcome(self, kind: topics.Kind, payload: bytes) -> tuple[bool, dict[str, dict[str, object]], str | None]:
        """(it went well, values by service, why not)."""
        if kind is topics.Kind.COMMAND_RESPONSE:
            answer = decode(payloads.command_response, payload)
            return answer.ok, {"": given(answer.paras, {})}, _failed(given(answer.result_code, 0))
        if kind is topics.Kind.SET_RESPONSE:
            result = decode(payloads.set_response, payload)
            text = given(result.result_desc, "")[:200]
            return result.ok, {}, _failed(given(result.result_code, 0), text)
        read = decode(payloads.get_response, payload)
        return True, {each.service_id: each.properties for each in given(read.services, ())}, None

    def _named(self, device: Device, kind: topics.Kind, said: dict[str, dict[str, object]]) -> dict[str, object]:
        if kind is not topics.Kind.GET_RESPONSE:
            return {name: value for values in said.values() for name, value in values.items()}
        found: dict[str, object] = {}
        for name, values in said.items():
            service = names.service_of(self._whose.product(device), name)
            found |= dict(values) if service is None else names.values_in(service, values)
        return found

    # events

    def _events(self, speaker: Device, payload: bytes, now: int) -> Act:
        said = events.decode_up(payload)
        for name, error in said.unread:
            self._note(speaker.id, name, error)
        device = self._whose.meant(speaker, said.object_device_id)
        acts: list[Act] = []
        for event in said.events:
            spoken = Spoken(speaker, device, now, given(event.event_id, ""))
            acts.append(self._handlers[event.service_id, event.event_type](spoken, event.paras))

        def act(tx: Tx) -> None:
            for each in acts:
                each(tx)

        return act

    def _note(self, device_id: str, code: str, error: IotdaError) -> None:
        now = self._store.clock.now().ms
        device = self._whose.device(device_id)
        if device is None or now - self._noted.get(device_id, -NOTE_EVERY_MS) < NOTE_EVERY_MS:
            return
        self._noted[device_id] = now
        _log.info("device misunderstood", device=device_id, code=error.code)
        value = _quoted(str(error)[:200])
        self._journal.note(Entry(device.id, device.home_id, now, Noted.UNFIT, code[:128], value))

    def _forget(self, device_id: str) -> None:
        self._noted.pop(device_id, None)


def _failed(code: int, text: str = "") -> str | None:
    return None if code == 0 else text or f"result_code {code}"


def _quoted(text: str) -> str:
    return encode({"why": text}).decode()
