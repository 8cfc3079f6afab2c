"""What can be wrong with what a device, or a platform, sends."""

from typing import ClassVar


class IotdaError(Exception):
    """Root of everything that this protocol's codecs raise."""

    code: ClassVar[str] = "iotda"
    retryable: ClassVar[bool] = False
    hint: ClassVar[str] = ""


class MalformedError(IotdaError):
    """It is not what the protocol says stands there."""

    code = "iotda_malformed"
    hint = "Compare it with the payload's table in chapter 2 or 3 of the IoTDA API reference."


class TopicUnknownError(IotdaError):
    """No topic of this protocol."""

    code = "iotda_topic_unknown"
    hint = "Topics begin with $oc/devices/{device_id}/."


class EventUnknownError(IotdaError):
    """No event of this protocol."""

    code = "iotda_event_unknown"
