"""The 14 system topics, and a device's own (2.3). Pure."""

import re
from enum import StrEnum
from typing import Final

from msgspec import Struct

from app.links.iotda.codec.errors import TopicUnknownError

PREFIX: Final = "$oc/devices/"
REQUEST: Final = "request_id="
MAX_REQUEST_ID: Final = 128


class Kind(StrEnum):
    """What a topic is about; the value is its part between the device's id and the request's."""

    MESSAGE_UP = "sys/messages/up"
    MESSAGE_DOWN = "sys/messages/down"
    COMMAND = "sys/commands"
    COMMAND_RESPONSE = "sys/commands/response"
    REPORT = "sys/properties/report"
    GATEWAY_REPORT = "sys/gateway/sub_devices/properties/report"
    SET = "sys/properties/set"
    SET_RESPONSE = "sys/properties/set/response"
    GET = "sys/properties/get"
    GET_RESPONSE = "sys/properties/get/response"
    SHADOW_GET = "sys/shadow/get"
    SHADOW_GET_RESPONSE = "sys/shadow/get/response"
    EVENT_UP = "sys/events/up"
    EVENT_DOWN = "sys/events/down"
    USER = "user"


UP: Final = frozenset(
    {
        Kind.MESSAGE_UP,
        Kind.COMMAND_RESPONSE,
        Kind.REPORT,
        Kind.GATEWAY_REPORT,
        Kind.SET_RESPONSE,
        Kind.GET_RESPONSE,
        Kind.SHADOW_GET,
        Kind.EVENT_UP,
    }
)
DOWN: Final = frozenset(Kind) - UP - {Kind.USER}
# Whose topic ends with `/request_id=...`.
WITH_REQUEST: Final = frozenset(
    {
        Kind.COMMAND,
        Kind.COMMAND_RESPONSE,
        Kind.SET,
        Kind.SET_RESPONSE,
        Kind.GET,
        Kind.GET_RESPONSE,
        Kind.SHADOW_GET,
        Kind.SHADOW_GET_RESPONSE,
    }
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}\Z")
_SYSTEM: Final = {kind.value: kind for kind in Kind if kind is not Kind.USER}


class Topic(Struct, frozen=True):
    """`rest` is the request's id, for USER what follows `user/`; empty for those that have neither."""

    kind: Kind
    device_id: str
    rest: str = ""

    def __str__(self) -> str:
        path = f"{PREFIX}{self.device_id}/{self.kind.value}"
        if self.kind is Kind.USER:
            return f"{path}/{self.rest}"
        if self.kind is Kind.MESSAGE_UP:
            return f"{path}?{REQUEST}{self.rest}" if self.rest else path
        return f"{path}/{REQUEST}{self.rest}" if self.rest else path


def parse(text: str) -> Topic:
    """The topic of a publish; raises TopicUnknownError. A message up may carry `?request_id=` (2.6.1)."""
    device_id, slash, path = text.removeprefix(PREFIX).partition("/")
    if not text.startswith(PREFIX) or not device_id or not slash:
        raise TopicUnknownError(text[:200])
    if path.startswith("user/") and len(path) > len("user/"):
        return Topic(Kind.USER, device_id, path.removeprefix("user/"))
    return _system(device_id, path, text)


def _system(device_id: str, path: str, text: str) -> Topic:
    head, mark, request = path.rpartition("/" + REQUEST)
    if not mark:
        head, mark, request = path.partition("?" + REQUEST)
    kind = _SYSTEM.get(head if mark else path)
    wants = kind in WITH_REQUEST
    if kind is None or (wants and not mark) or (mark and not wants and kind is not Kind.MESSAGE_UP):
        raise TopicUnknownError(text[:200])
    if mark and not _REQUEST_ID.match(request):
        raise TopicUnknownError(text[:200])
    return Topic(kind, device_id, request)


def may_publish(device_id: str, text: str) -> bool:
    """Whether a device may publish there: upwards, and under its own id."""
    try:
        topic = parse(text)
    except TopicUnknownError:
        return False
    return topic.device_id == device_id and (topic.kind in UP or topic.kind is Kind.USER)


def may_subscribe(device_id: str, pattern: str) -> bool:
    """Whether a device may ask for `pattern`: below its own id, with wildcards only there; and for broadcasts.

    A wildcard also covers topics that nobody but the device publishes to: it hears itself, as with any broker.
    """
    own = f"{PREFIX}{device_id}/"
    if pattern.startswith("$oc/broadcast/"):
        return len(pattern) > len("$oc/broadcast/")
    return pattern.startswith(own) and len(pattern) > len(own)


def implicit(device_id: str) -> list[str]:
    """The downward system topics, as patterns: a device has them at QoS 0 without asking (2.3)."""
    return [
        f"{PREFIX}{device_id}/{kind.value}" + ("/+" if kind in WITH_REQUEST else "") for kind in Kind if kind in DOWN
    ]
