"""A command, as asked for, as kept and as shown."""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from app.clock import Time, to_time
from app.control.states import State
from app.errors import Conflict, Invalid, TooMany
from app.policy import Actor, Resource

# A lamp that did not switch within half a minute was switched by hand; who wants more says so.
EXPIRES_AFTER_S = 30.0
# A message waits as long as IoTDA's (1.4.3.1, ttl).
MESSAGE_EXPIRES_AFTER_S = 24 * 3600.0
MAX_EXPIRES_AFTER_S = 7 * 24 * 3600.0
# What waits for one device. More than a person asks for in a week, less than a mistaken program in a minute.
MAX_OPEN_PER_DEVICE = 1_000
# As IoTDA keeps (specs/iotda/digest.md, 1.4.3); one may have 64 KiB.
MAX_MESSAGES_PER_DEVICE = 20
MAX_CONTENT = 64 * 1024
# Of all else that a device is told, as JSON: the Doorstep link takes 65,518 octets with what is around it.
MAX_BODY = 48 * 1024


class TooManyCommands(TooMany):
    """As many commands as may be wait for this device."""

    code = "too_many_commands"
    hint = "Wait for some of them to be answered or to expire."


class CommandTooLong(Invalid):
    """No link takes so much at once."""

    code = "command_too_long"
    hint = "Send it in parts."


class LinkCannot(Conflict):
    """The link this device is reached by does not carry such a thing, now or later."""

    code = "link_cannot"
    hint = "Ask for something else of it; messages go to devices that speak MQTT."


class Kind(StrEnum):
    """`set` properties, `get` a service's properties afresh, `call` a command of the product's model.

    A `message` is what the model does not know: the device takes it or not, and does not answer.
    """

    SET = "set"
    GET = "get"
    CALL = "call"
    MESSAGE = "message"


# What a link carries that knows product models.
OF_THE_MODEL: Final = frozenset({Kind.SET, Kind.GET, Kind.CALL})


_Id = Annotated[str, Meta(min_length=1, max_length=64)]
_Values = Annotated[dict[_Id, Any], Meta(max_length=64)]


class Message(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Content, and how it goes out (IoTDA, 1.4.3.1).

    `base64` content goes out as the octets it stands for, and `raw` content as it is; else in the protocol's envelope
    with its name and id. `topic` is the end of a custom topic, below the device's own; empty: the protocol's.
    """

    content: Annotated[str, Meta(max_length=MAX_CONTENT)] | dict[str, Any]
    encoding: Literal["none", "base64"] = "none"
    format: Literal["standard", "raw"] = "standard"
    topic: Annotated[str, Meta(max_length=128, pattern=r"^([^/+#\0][^+#\0]*)?\Z")] = ""


class NewCommand(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What is to be done: `values` go with `set`, `name` and `params` with `call`, and with each a `service`.

    `message`, and a `name` if it has one, go with `message`. `expires_in` is in seconds: 30, and for a message a day.
    """

    service: _Id | Literal[""] = ""
    kind: Kind = Kind.SET
    values: _Values = {}
    name: _Id | None = None
    params: _Values = {}
    expires_in: Annotated[float, Meta(gt=0, le=MAX_EXPIRES_AFTER_S)] | UnsetType = UNSET
    message: Message | None = None


class Body(Struct, frozen=True, gc=False, omit_defaults=True):
    """What the device is told. `wish`: the shadow's, which a newer one takes the place of; `again`: for which time."""

    service: str
    values: dict[str, Any] = {}
    name: str | None = None
    params: dict[str, Any] = {}
    wish: bool = False
    again: int = 0
    message: Message | None = None


class Outcome(Struct, frozen=True, gc=False, omit_defaults=True):
    """What came of it: the values that now hold, or why not."""

    values: dict[str, Any] = {}
    error: str | None = None


class Command(Struct, frozen=True, gc=False):
    """A command. `n` orders delivery. Times in ms."""

    n: int
    id: str
    device_id: str
    home_id: str
    kind: Kind
    body: Body
    state: State
    outcome: Outcome | None
    account_id: str | None
    group_id: str | None
    created_at: int
    expires_at: int
    ended_at: int | None


class CommandView(Struct, frozen=True, gc=False, omit_defaults=True):
    """A command as faces show it; what it has none of is left out."""

    id: str
    device_id: str
    kind: Kind
    state: State
    created_at: Time
    expires_at: Time
    service: str = ""
    values: dict[str, Any] = {}
    name: str | None = None
    params: dict[str, Any] = {}
    outcome: Outcome | None = None
    account_id: str | None = None
    group_id: str | None = None
    ended_at: Time | None = None
    message: Message | None = None


class Asked(Struct, frozen=True, gc=False):
    """A member of a group, and the command it was given."""

    device_id: str
    command_id: str


class Unable(Struct, frozen=True, gc=False):
    """A member of a group that could not be asked, and why: as it would be refused by itself."""

    device_id: str
    code: str
    detail: str


class GroupAct(Struct, frozen=True, gc=False):
    """What was asked of a group, as kept. Time in ms."""

    id: str
    group_id: str
    created_at: int
    account_id: str | None
    asked: list[Asked]
    unable: list[Unable]


class GroupAnswer(Struct, frozen=True):
    """Every member of the group once: with the command it was given, as it stands, or with why it was given none."""

    id: str
    group_id: str
    created_at: Time
    commands: list[CommandView]
    unable: list[Unable]


def as_seen(actor: Actor, resource: Resource, command: Command) -> Command:
    """A command as a receiver of the device may know it: not who else gave it, nor through which group."""
    if resource.standing.role is not None or command.account_id == actor.account_id:
        return command
    return msgspec.structs.replace(command, account_id=None, group_id=None)


def view_of(command: Command) -> CommandView:
    """What is shown of it."""
    body = command.body
    return CommandView(
        command.id,
        command.device_id,
        command.kind,
        command.state,
        to_time(command.created_at),
        to_time(command.expires_at),
        body.service,
        body.values,
        body.name,
        body.params,
        command.outcome,
        command.account_id,
        command.group_id,
        None if command.ended_at is None else to_time(command.ended_at),
        body.message,
    )


encode_body = msgspec.json.Encoder().encode
decode_body = msgspec.json.Decoder(Body).decode
decode_outcome = msgspec.json.Decoder(Outcome).decode
decode_new = msgspec.json.Decoder(NewCommand).decode

decode_asked = msgspec.json.Decoder(list[Asked]).decode
decode_unable = msgspec.json.Decoder(list[Unable]).decode
