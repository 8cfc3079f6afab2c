"""A product: services of properties and commands. One model feeds every face: a Tuya data point and an IoTDA service
property are two names of the same property (DESIGN 4).
"""

from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

# The alphabet of the device link's names (pairing.messages.Name), less what would need escaping elsewhere.
Id: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,47}\Z")]
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
# What JSON numbers carry without loss everywhere (RFC 8259, section 6).
Whole: TypeAlias = Annotated[int, Meta(ge=-(2**53), le=2**53)]

MAX_TEXT = 4096


class Access(StrEnum):
    """Whether a property is reported, set, or both."""

    READ = "r"
    WRITE = "w"
    BOTH = "rw"

    @property
    def readable(self) -> bool:
        return self is not Access.WRITE

    @property
    def writable(self) -> bool:
        return self is not Access.READ


class Tuya(Struct, frozen=True, forbid_unknown_fields=True):
    """The property as a Tuya data point. Its integer is the value times ten to the `scale`."""

    dp: Annotated[int, Meta(ge=1, le=255)]
    code: Id
    scale: Annotated[int, Meta(ge=0, le=6)] = 0


class Field(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type"):
    """What every property, and every parameter of a command, has. `iotda` is its name there; None: the same."""

    id: Id
    name: Label
    access: Access = Access.BOTH
    tuya: Tuya | None = None
    iotda: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}\Z")] | None = None


class Bool(Field, frozen=True, kw_only=True, tag="bool"):
    """True or false."""


class Int(Field, frozen=True, kw_only=True, tag="int"):
    """A whole number from `min` to `max`, both possible, in steps of `step` from `min`."""

    min: Whole
    max: Whole
    step: Annotated[int, Meta(ge=1, le=2**53)] = 1
    unit: Annotated[str, Meta(max_length=16)] = ""


class Float(Field, frozen=True, kw_only=True, tag="float"):
    """A number from `min` to `max`; `step` 0: any."""

    min: float
    max: float
    step: Annotated[float, Meta(ge=0)] = 0
    unit: Annotated[str, Meta(max_length=16)] = ""


class Enum(Field, frozen=True, kw_only=True, tag="enum"):
    """One of `values`."""

    values: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=64)]


class String(Field, frozen=True, kw_only=True, tag="string"):
    """Text of at most `max_length` characters."""

    max_length: Annotated[int, Meta(ge=1, le=MAX_TEXT)] = 255


class Json(Field, frozen=True, kw_only=True, tag="json"):
    """Text that holds a JSON document of at most `max_length` characters, as data points carry it."""

    max_length: Annotated[int, Meta(ge=2, le=MAX_TEXT)] = 1024


Property: TypeAlias = Bool | Int | Float | Enum | String | Json


class CommandModel(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something a service can be told to do beyond setting properties. Parameters are all required."""

    id: Id
    name: Label
    params: Annotated[tuple[Property, ...], Meta(max_length=16)] = ()
    iotda: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}\Z")] | None = None


class Service(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One ability: what it has (`properties`) and does (`commands`)."""

    id: Id
    name: Label
    properties: Annotated[tuple[Property, ...], Meta(max_length=64)] = ()
    commands: Annotated[tuple[CommandModel, ...], Meta(max_length=32)] = ()
    iotda: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}\Z")] | None = None

    def property(self, property_id: str) -> Property | None:
        """The property of that id."""
        for each in self.properties:
            if each.id == property_id:
                return each
        return None

    def command(self, command_id: str) -> CommandModel | None:
        """The command of that id."""
        for each in self.commands:
            if each.id == command_id:
                return each
        return None


class Product(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A kind of device. `category` is the Tuya category code; a `gateway` has devices behind it."""

    id: Id
    name: Label
    icon: Id
    category: Id
    gateway: bool = False
    services: Annotated[tuple[Service, ...], Meta(min_length=1, max_length=32)]

    def service(self, service_id: str) -> Service | None:
        """The service of that id."""
        for each in self.services:
            if each.id == service_id:
                return each
        return None
