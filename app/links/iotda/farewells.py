"""Devices that were reset: let in by what proved them before, told so, and heard of one thing: that they forgot.

The protocol has no reset. It goes as a command of the device itself, whose id is the reset's:

    $oc/devices/{device_id}/sys/commands/request_id={reset}
    {"object_device_id": "{device_id}", "service_id": "$device", "command_name": "factory_reset", "paras": {}}

and is acknowledged by its response with `result_code` 0, which the device says before it wipes its secret.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from app.devices.reset_model import Reset
from app.devices.resets import Resets
from app.errors import DoorstepError, NotFound
from app.links.iotda.admission import Departed, principal_of
from app.links.iotda.codec import payloads, topics
from app.links.iotda.codec.errors import IotdaError
from app.links.iotda.codec.fields import decode, encode
from app.links.iotda.downwards import Downwards
from app.links.iotda.upwards import Upwards
from app.links.mqtt.ports import Connected, Message, MqttLink, Principal

# As a synchronous command waits (1.4.4.1), and then some: who does not answer is hung up on, and told again next time.
ANSWER_S: Final = 30.0
# For the acknowledgement of its last words to go out.
LAST_S: Final = 1.0
_log = structlog.get_logger("doorstep.iotda")


class Farewells:
    """`app.links.mqtt.ports.Hearing`: of devices that were reset; of all others it tells `upwards`."""

    def __init__(self, resets: Resets, upwards: Upwards, down: Downwards) -> None:
        self._resets = resets
        self._upwards = upwards
        self._down = down
        self._ending: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        resets.on_ended.append(self._ended)

    async def stop(self) -> None:
        """No timer and no task is left."""
        for timer in self._ending.values():
            timer.cancel()
        self._ending.clear()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def connected(self, principal: Principal, how: Connected) -> None:
        """See the Protocol."""
        if not isinstance(principal.facts, Departed):
            self._upwards.connected(principal, how)
            return
        if self._tell(principal, principal.facts):
            self._resets.delivered(principal.facts.wire_id)
        self._end_in(ANSWER_S, principal.device_id)

    def subscribed(self, principal: Principal) -> None:
        """See the Protocol. It is told once more: at QoS 0, before it had subscribed, that may have been lost."""
        if isinstance(principal.facts, Departed):
            self._tell(principal, principal.facts)
        else:
            self._upwards.subscribed(principal)

    def disconnected(self, principal: Principal, why: str) -> None:
        """See the Protocol."""
        if not isinstance(principal.facts, Departed):
            self._upwards.disconnected(principal, why)
        elif (timer := self._ending.pop(principal.device_id, None)) is not None:
            timer.cancel()

    async def published(self, principal: Principal, messages: Sequence[Message]) -> Sequence[DoorstepError | None]:
        """See the Protocol."""
        if not isinstance(principal.facts, Departed):
            return await self._upwards.published(principal, messages)
        outcomes: list[DoorstepError | None] = []
        for message in messages:
            known = acknowledges(principal.facts, message.topic, message.payload)
            if known:
                await self._resets.confirmed(principal.facts.wire_id, principal.facts.reset_id)
            outcomes.append(None if known else NotFound())
        return outcomes

    def _tell(self, principal: Principal, departed: Departed) -> bool:
        topic = topics.Topic(topics.Kind.COMMAND, departed.wire_id, departed.reset_id)
        service, name = payloads.RESET
        said = payloads.Command(object_device_id=departed.wire_id, service_id=service, command_name=name, paras={})
        link = self._down.link
        return link is not None and link.publish(principal.device_id, str(topic), encode(said), qos=1)

    def _ended(self, reset: Reset) -> None:
        self._end_in(LAST_S, principal_of(reset).device_id)

    def _end_in(self, seconds: float, name: str) -> None:
        if (timer := self._ending.pop(name, None)) is not None:
            timer.cancel()
        self._ending[name] = asyncio.get_running_loop().call_later(seconds, self._end, name)

    def _end(self, name: str) -> None:
        """It may come again while its reset is open; what the link keeps of it is for nobody."""
        self._ending.pop(name, None)
        self.forget(name)

    def forget(self, name: str) -> None:
        """Hang up on a device that has left, or on one that was reset, and have the link keep nothing for it."""
        if (link := self._down.link) is None:
            return
        task = asyncio.get_running_loop().create_task(_forget(link, name), name="reset-device-hung-up-on")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _forget(link: MqttLink, name: str) -> None:
    try:
        await link.forget(name)
    except DoorstepError as error:
        _log.info("what is kept for a reset device is kept on", name=name, code=error.code)


def acknowledges(departed: Departed, topic: str, payload: bytes) -> bool:
    """Whether it says there that it has forgotten."""
    try:
        read = topics.parse(topic)
        is_its = (read.kind, read.device_id, read.rest) == (
            topics.Kind.COMMAND_RESPONSE,
            departed.wire_id,
            departed.reset_id,
        )
        return is_its and decode(payloads.command_response, payload).ok
    except IotdaError:
        return False
