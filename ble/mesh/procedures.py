"""Carries a procedure on nodes (`ble.mesh.configure`) out over a network's client."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from ble.errors import BleError, NotReachable
from ble.mesh.client import MeshClient, NodeSilent
from ble.mesh.configure import Answer, Enter, LookFor, Procedure, Request, T
from ble.mesh.exchange import ByDevice

IsGone: TypeAlias = Callable[[int], Awaitable[bool]]
OnEnter: TypeAlias = Callable[[Enter], Awaitable[None]]


async def _nobody_knows(_: int) -> bool:
    return False


async def _no_phases(step: Enter) -> None:
    raise NotImplementedError(f"nothing moves our own keys to {step.phase.name} here")


async def carry_out(
    procedure: Procedure[T],
    client: MeshClient,
    *,
    is_gone: IsGone = _nobody_knows,
    on_enter: OnEnter = _no_phases,
) -> T:
    """The procedure's result. Raises what it raises, and BleError of the client where no proxy is in reach.

    `is_gone` says whether a node that was reset is heard as unprovisioned, or no more; `on_enter` moves our own keys in
    a key refresh and returns once that is durable. Cancellation ends the procedure between two messages.
    """
    answer: Answer = None
    failed: BleError | None = None
    try:
        while True:
            try:
                action = procedure.throw(failed) if failed else procedure.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            answer, failed = None, None
            try:
                match action:
                    case Request():
                        answer = await _asked(action, client)
                    case LookFor(address):
                        answer = await is_gone(address)
                    case Enter():
                        await on_enter(action)
            except BleError as error:
                failed = error
    finally:
        procedure.close()


async def _asked(request: Request, client: MeshClient) -> Answer:
    try:
        answer = await client.request(
            request.address,
            request.message.message(),
            ByDevice(request.address),
            answers=(request.expects.OPCODE,),
            matches=request.answered_by,
        )
    except NodeSilent:
        return None
    except NotReachable:
        if request.may_vanish:
            return None
        raise
    return request.expects.read(answer.parameters)
