"""Carries the calls of a provisioning out, whatever by."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from pairing.errors import PairingError
from pairing.protocomm.calls import Call, Calls

T = TypeVar("T")

Ask: TypeAlias = Callable[[Call], Awaitable[bytes]]
"""Makes one call, and returns what is answered. Raises PairingError."""


async def carry(talk: Calls[T], ask: Ask) -> T:
    """The talk's result. Raises what the talk raises; the talk is closed whatever happens."""
    answer, failed = b"", None
    try:
        call = next(talk)
        while True:
            try:
                answer, failed = await ask(call), None
            except PairingError as error:
                failed = error
            call = talk.throw(failed) if failed else talk.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        talk.close()
