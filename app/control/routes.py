"""Commands in the companion API."""

from typing import Annotated

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from app.caller import Caller
from app.companion.conditions import Cursor, Limit, Page, decode_cursor, encode_cursor, limit_of
from app.control.model import CommandView, GroupAnswer, NewCommand, view_of
from app.control.service import Control
from app.policy import Action

# As long as the IoTDA's synchronous commands wait (specs/iotda): more than a person does.
MAX_WAIT_S = 20.0
Wait = Annotated[
    float, QueryParameter(ge=0, le=MAX_WAIT_S, description="seconds to wait for the command's end before answering")
]


@post(
    "/devices/{device_id:str}/commands",
    operation_id="commandDevice",
    opt={"action": Action.DEVICE_CONTROL},
    status_code=202,
)
async def command_device(
    caller: NamedDependency[Caller],
    control: NamedDependency[Control],
    device_id: FromPath[str],
    data: JSONBody[NewCommand],
    wait: Wait = 0,
) -> Response[CommandView]:
    """Have a device do something: set properties, report a service afresh, or a command of its model.

    Answered once it is on disk; it is delivered now, or when the device is there, in order, and expires if it is not.
    """
    raw = await control.command(caller, device_id, data)
    command = msgspec.json.decode(raw, type=CommandView)
    if wait:
        command = await control.ended(command, wait)
    return Response(command, status_code=202)


@post(
    "/groups/{group_id:str}/commands",
    operation_id="commandGroup",
    opt={"action": Action.GROUP_CONTROL},
    status_code=202,
)
async def command_group(
    caller: NamedDependency[Caller],
    control: NamedDependency[Control],
    group_id: FromPath[str],
    data: JSONBody[NewCommand],
) -> GroupAnswer:
    """Have every device of a group that can do something do it, as one act.

    Answered with the command of each that can, and for each other why it cannot; where none can, that is the answer.
    """
    return await control.group_command(caller, group_id, data)


@get(
    "/groups/{group_id:str}/commands/{act_id:str}",
    operation_id="getGroupCommand",
    opt={"action": Action.GROUP_CONTROL},
)
async def get_group_command(
    caller: NamedDependency[Caller], control: NamedDependency[Control], group_id: FromPath[str], act_id: FromPath[str]
) -> GroupAnswer:
    """What was asked of a group in the last 30 days, and what has come of it for each member."""
    return await control.group_result(caller.actor, group_id, act_id)


@get("/devices/{device_id:str}/commands", operation_id="listCommands", opt={"action": Action.DEVICE_CONTROL})
async def list_commands(
    caller: NamedDependency[Caller],
    control: NamedDependency[Control],
    device_id: FromPath[str],
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[CommandView]:
    """A device's commands of the last 30 days, newest first; guests and receivers of a share see those they gave."""
    most = limit_of(limit)
    before = decode_cursor(cursor, tuple[int])
    found = await control.of_device(caller.actor, device_id, before[0] if before else None, most + 1)
    following = encode_cursor(found[most - 1].n) if len(found) > most else None
    return Page([view_of(command) for command in found[:most]], following)


@get(
    "/devices/{device_id:str}/commands/{command_id:str}",
    operation_id="getCommand",
    opt={"action": Action.DEVICE_CONTROL},
)
async def get_command(
    caller: NamedDependency[Caller],
    control: NamedDependency[Control],
    device_id: FromPath[str],
    command_id: FromPath[str],
) -> CommandView:
    """One command, as it stands."""
    return await control.get(caller.actor, device_id, command_id)


ROUTER = Router("/", route_handlers=[command_device, command_group, get_group_command, list_commands, get_command])
