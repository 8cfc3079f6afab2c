"""The operations, one module for each kind of thing."""

from litestar import Router

from app.dialects.tuya.operations import Operation
from app.dialects.tuya.routes import (
    control,
    devices,
    firmware,
    groups,
    homes,
    lists,
    logs,
    members,
    messages,
    pairing,
    parts,
    rooms,
    scenes,
    spaces,
    things,
    timers,
    tokens,
)

OPERATIONS: tuple[Operation, ...] = (
    *tokens.OPERATIONS,
    *devices.OPERATIONS,
    *lists.OPERATIONS,
    *control.OPERATIONS,
    *homes.OPERATIONS,
    *rooms.OPERATIONS,
    *members.OPERATIONS,
    *pairing.OPERATIONS,
    *logs.OPERATIONS,
    *firmware.OPERATIONS,
    *parts.OPERATIONS,
    *things.OPERATIONS,
    *groups.OPERATIONS,
    *spaces.OPERATIONS,
    *scenes.OPERATIONS,
    *timers.OPERATIONS,
)


_ROUTES = [operation.route() for operation in OPERATIONS]
ROUTER = Router("/", route_handlers=[*_ROUTES, messages.consume], include_in_schema=False)
