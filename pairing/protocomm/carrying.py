"""Carries the calls of a provisioning out, whatever by."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from pairing.errors import PairingError
from pairing.protocomm.calls import Call, Calls
from pairing.uncancelled import to_the_end

T = TypeVar("T")

Ask: TypeAlias = Callable[[Call], Awaitable[bytes]]
"""Makes one call, and returns what is answered. Raises PairingError."""


async def carry(talk: Calls[T], ask: Ask) -> T:
    """The talk's result. Raises what the talk raises; the talk is closed whatever happens."""
    try:
        call = await _aside(lambda: next(talk))
        while not isinstance(call, _Result):
            try:
                answer = await ask(call)
            except PairingError as error:
                failed = error
                call = await _aside(lambda failed=failed: talk.throw(failed))  # type: ignore[misc]
            else:
                call = await _aside(lambda answer=answer: talk.send(answer))  # type: ignore[misc]
        result: T = call.value
        return result
    finally:
        talk.close()


@dataclass(frozen=True, slots=True)
class _Result(Generic[T]):
    value: T


async def _aside(step: Callable[[], Call]) -> "Call | _Result[Any]":
    """One step of a talk, off the loop: the numbers of security scheme 2 take a small hub some tenths of a second."""
    # A talk in the middle of a step cannot be closed.
    return await to_the_end(asyncio.to_thread(_taken, step))


def _taken(step: Callable[[], Call]) -> "Call | _Result[Any]":
    try:
        return step()
    except StopIteration as stop:
        return _Result(stop.value)
