"""A command, as asked for, as kept and as shown."""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from app.clock import Time, to_time
from app.control.states import State
from app.errors import TooMany

# A lamp that did not switch within half a minute was switched by hand; who wants more says so.
EXPIRES_AFTER_S = 30.0
MAX_EXPIRES_AFTER_S = 7 * 24 * 3600.0
# What waits for one device. More than a person asks for in a week, less than a mistaken program in a minute.
MAX_OPEN_PER_DEVICE = 1_000


class TooManyCommands(TooMany):
    """As many commands as may be wait for this device."""

    code = "too_many_commands"
    hint = "Wait for some of them to be answered or to expire."


class Kind(StrEnum):
    """`set` properties, `get` a service's properties afresh, `call` a command of the product's model."""

    SET = "set"
    GET = "get"
    CALL = "call"


_Id = Annotated[str, Meta(min_length=1, max_length=64)]
_Values = Annotated[dict[_Id, Any], Meta(max_length=64)]


class NewCommand(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What is to be done: `values` go with `set`, `name` and `params` with `call`. `expires_in` is in seconds."""

    service: _Id
    kind: Kind = Kind.SET
    values: _Values = {}
    name: _Id | None = None
    params: _Values = {}
    expires_in: Annotated[float, Meta(gt=0, le=MAX_EXPIRES_AFTER_S)] = EXPIRES_AFTER_S


class Body(Struct, frozen=True, gc=False):
    """What the device is told. `wish`: the shadow's, which a newer one takes the place of."""

    service: str
    values: dict[str, Any] = {}
    name: str | None = None
    params: dict[str, Any] = {}
    wish: bool = False


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
    service: str
    state: State
    created_at: Time
    expires_at: Time
    values: dict[str, Any] = {}
    name: str | None = None
    params: dict[str, Any] = {}
    outcome: Outcome | None = None
    account_id: str | None = None
    group_id: str | None = None
    ended_at: Time | None = None


class GroupAnswer(Struct, frozen=True):
    """The commands that of a group's was made, and the devices of it that cannot do such a thing."""

    commands: list[CommandView]
    unable: list[str]


def view_of(command: Command) -> CommandView:
    """What is shown of it."""
    body = command.body
    return CommandView(
        command.id,
        command.device_id,
        command.kind,
        body.service,
        command.state,
        to_time(command.created_at),
        to_time(command.expires_at),
        body.values,
        body.name,
        body.params,
        command.outcome,
        command.account_id,
        command.group_id,
        None if command.ended_at is None else to_time(command.ended_at),
    )


encode_body = msgspec.json.Encoder().encode
decode_body = msgspec.json.Decoder(Body).decode
decode_outcome = msgspec.json.Decoder(Outcome).decode
decode_new = msgspec.json.Decoder(NewCommand).decode
