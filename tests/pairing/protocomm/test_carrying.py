"""Talks carried out beside the loop: results, failures thrown in, and a cancel in the middle of a step."""

import asyncio
import threading

import pytest

from pairing.errors import ConnectionLostError
from pairing.protocomm.calls import Call, Calls
from pairing.protocomm.carrying import carry

CALL = Call("x", b"", "")


async def echo(call: Call) -> bytes:
    return call.body


async def lost(call: Call) -> bytes:
    raise ConnectionLostError


def patient() -> Calls[str]:
    try:
        yield CALL
    except ConnectionLostError:
        return "told"
    return "answered"


async def test_answers_and_failures_reach_the_talk() -> None:
    assert await carry(patient(), echo) == "answered"
    assert await carry(patient(), lost) == "told"


async def test_what_the_talk_raises_is_raised() -> None:
    def failing() -> Calls[None]:
        yield CALL
        raise ConnectionLostError("of the talk")

    with pytest.raises(ConnectionLostError, match="of the talk"):
        await carry(failing(), echo)


async def test_cancelled_in_the_middle_of_a_step_the_talk_is_still_closed() -> None:
    going_on, closed = threading.Event(), threading.Event()
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow() -> Calls[None]:
        try:
            yield CALL
            loop.call_soon_threadsafe(begun.set)
            going_on.wait(10)
            yield CALL
        finally:
            closed.set()

    carrying = asyncio.create_task(carry(slow(), echo))
    await begun.wait()
    carrying.cancel()
    await asyncio.sleep(0)
    carrying.cancel()  # people do press twice
    await asyncio.sleep(0)
    assert not closed.is_set()
    going_on.set()
    with pytest.raises(asyncio.CancelledError):
        await carrying
    assert closed.is_set()
