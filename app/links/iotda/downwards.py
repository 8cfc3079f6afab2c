"""What the hub says to devices: commands as their topics, events, answers. `app.control.link.Link` for MQTT."""

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec import UNSET, Struct

from app.clock import Clock
from app.control.asking import octets_of
from app.control.model import Command, Kind, Message
from app.devices.model import Device
from app.links.iotda.codec import events, names, payloads, topics
from app.links.iotda.codec.fields import encode
from app.links.iotda.codec.times import event_time
from app.links.iotda.whose import Whose
from app.links.mqtt.ports import Fate, MqttLink

LINK: Final = "mqtt"
# A device whose session is new subscribes as soon as it is let in. What is sent before that goes at QoS 0, and nobody
# says whether it arrived.
SETTLING_S: Final = 1.0


class Downwards:
    """`link` is set once it listens. What is sent goes at QoS 1 to who subscribed so, else at QoS 0 (2.3)."""

    def __init__(self, whose: Whose, clock: Clock, acknowledged: Callable[[str, str], None]) -> None:
        self._whose = whose
        self._clock = clock
        self._acknowledged = acknowledged
        self.link: MqttLink | None = None
        self._settling: dict[str, asyncio.TimerHandle] = {}

    def take_link(self, link: MqttLink) -> None:
        """The way down, from now on."""
        self.link = link

    # as control asks

    carries: Final = frozenset(Kind)

    def is_online(self, device_id: str) -> bool:
        """Whether it has a connection, or its gateway has and says that it is there."""
        device = self._whose.device(device_id)
        if device is None or (reached := self._whose.connected(device)) is None:
            return False
        return self._is_up(reached) and (reached is device or self._whose.is_there(device_id))

    def send(self, device_id: str, command: Command) -> bool:
        """Publish the command on its topic; its id is the request's (1.4.4.1.1)."""
        if not self.is_online(device_id) or (device := self._whose.device(device_id)) is None:
            return False
        reached = self._whose.connected(device)
        if reached is None or reached.id in self._settling:
            return False
        kind, rest, payload = self._said(device, command)

        def on_fate(fate: Fate) -> None:
            # At QoS 0, and through a broker, nobody will say more: sent again, it might be done twice.
            if fate != "lost":
                self._acknowledged(device_id, command.id)

        return self._put(device, kind, rest, payload, on_fate)

    # who has just come

    def settle(self, device_id: str, settled: Callable[[], None]) -> None:
        """Send it no commands until it has said what it listens to, or has had time to; then `settled` is called."""
        self.settled(device_id)

        def over() -> None:
            self.settled(device_id)
            settled()

        self._settling[device_id] = asyncio.get_running_loop().call_later(SETTLING_S, over)

    def settled(self, device_id: str) -> None:
        """It has, or it has gone."""
        if (timer := self._settling.pop(device_id, None)) is not None:
            timer.cancel()

    def close(self) -> None:
        """No timer is left; the hub ends."""
        for timer in self._settling.values():
            timer.cancel()
        self._settling.clear()

    # its words

    def _said(self, device: Device, command: Command) -> tuple[topics.Kind, str, bytes]:
        """Where it goes, with what at the end of the topic, and what it says."""
        if (message := command.body.message) is not None:
            kind = topics.Kind.USER if message.topic else topics.Kind.MESSAGE_DOWN
            return kind, message.topic, _content(device, command, message)
        kind, payload = self._asked(device, command)
        return kind, command.id, encode(payload)

    def _asked(self, device: Device, command: Command) -> tuple[topics.Kind, Struct]:
        product, body = self._whose.product(device), command.body
        service = None if product is None else product.service(body.service)
        named, fields = names.service_name(product, body.service), () if service is None else service.properties
        match command.kind:
            case Kind.SET:
                values = names.values_out(fields, body.values)
                wanted = payloads.ServiceProperty(service_id=named, properties=values)
                return topics.Kind.SET, payloads.SetProperties(object_device_id=device.hardware_id, services=(wanted,))
            case Kind.GET:
                return topics.Kind.GET, payloads.GetProperties(object_device_id=device.hardware_id, service_id=named)
            case _:
                model = None if service is None else service.command(body.name or "")
                return topics.Kind.COMMAND, payloads.Command(
                    object_device_id=device.hardware_id,
                    service_id=named,
                    command_name=body.name if model is None else model.iotda or model.id,
                    paras=names.values_out(() if model is None else model.params, body.params),
                )

    # events and answers

    def event(self, device: Device, service: str, kind: str, paras: Struct, event_id: str | None = None) -> None:
        """Tell `device` of an event, now or not at all."""
        self.told(device, service, kind, paras, event_id)

    def told(self, device: Device, service: str, kind: str, paras: Struct, event_id: str | None = None) -> bool:
        """`event`, and whether it could be told."""
        said = events.Event(
            service_id=service,
            event_type=kind,
            event_time=event_time(self._clock.now().ms),
            event_id=UNSET if event_id is None else event_id,
            paras=paras,
        )
        return self._put(device, topics.Kind.EVENT_DOWN, "", events.encode_events((said,), device.hardware_id))

    def answer(self, speaker: Device, kind: topics.Kind, request_id: str, payload: Struct) -> None:
        """Answer a question that `speaker` asked under `request_id`."""
        self._put(speaker, kind, request_id, encode(payload))

    def drop(self, device_id: str) -> None:
        """End its connections."""
        if self.link is not None:
            self.link.drop(device_id)

    def _put(
        self,
        device: Device,
        kind: topics.Kind,
        rest: str,
        payload: bytes,
        on_fate: Callable[[Fate], None] | None = None,
    ) -> bool:
        reached = self._whose.connected(device)
        if reached is None or self.link is None or self._whose.is_kept_out(device.id):
            return False
        topic = str(topics.Topic(kind, reached.hardware_id, rest))
        return self.link.publish(reached.id, topic, payload, qos=1, on_fate=on_fate)

    def _is_up(self, device: Device) -> bool:
        return self.link is not None and self.link.is_online(device.id)


def _content(device: Device, command: Command, message: Message) -> bytes:
    """In the envelope (2.6.2), or as it is (1.4.3.1)."""
    if message.encoding == "base64" or message.format == "raw":
        return octets_of(message)
    return encode(
        payloads.Message(
            object_device_id=device.hardware_id,
            name=UNSET if command.body.name is None else command.body.name,
            id=command.id,
            content=message.content,
        )
    )
