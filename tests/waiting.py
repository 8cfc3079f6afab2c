"""Waiting for what nobody tells of: it is looked at again and again, generously long."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

# Whoever waits so long has failed, on whatever machine.
WAIT = 60.0
LOOK_S = 0.01
T = TypeVar("T")


@overload
async def until(ask: Callable[[], Awaitable[T]], is_so: Callable[[T], object] = bool, *, within: float = WAIT) -> T: ...
@overload
async def until(ask: Callable[[], T], is_so: Callable[[T], object] = bool, *, within: float = WAIT) -> T: ...
async def until(ask: Callable[[], Any], is_so: Callable[[Any], object] = bool, *, within: float = WAIT) -> Any:
    """What is answered once it is so; raises TimeoutError after `within` seconds."""
    async with asyncio.timeout(within):
        while True:
            answer = ask()
            if inspect.isawaitable(answer):
                answer = await answer
            if is_so(answer):
                return answer
            await asyncio.sleep(LOOK_S)
