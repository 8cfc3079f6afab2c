"""The types of fields, and octets into structs: strict about types, indifferent to what is unknown."""

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.links.iotda.codec.errors import MalformedError

T = TypeVar("T")

# Left out, null and a value are three things: what is read is written back as it was.
Text: TypeAlias = Annotated[str, Meta(max_length=4096)] | UnsetType | None
Whole: TypeAlias = int | UnsetType | None
Object: TypeAlias = dict[str, Any] | UnsetType | None

DeviceId: TypeAlias = Annotated[str, Meta(max_length=256)]
Name: TypeAlias = Annotated[str, Meta(max_length=256)]
# A service has at most 500 properties (1.4.1).
Values: TypeAlias = Annotated[dict[str, Any], Meta(max_length=500)]

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode


def decode(decoder: "msgspec.json.Decoder[T]", payload: bytes) -> T:
    """`payload` as what `decoder` reads; raises MalformedError."""
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError(str(error)[:200]) from error


def given(value: T | UnsetType | None, default: T) -> T:
    """`value`, or `default` where it was left out or null."""
    return default if value is None or value is UNSET else value
