"""Turns: never more than there are, everybody in the end, who is in a hurry first."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from app.links import turns
from app.links.turns import Turns


class Worker:
    """Takes a turn when it can, and keeps it until it is told to end or its turn is over."""

    def __init__(self, name: str, shared: Turns, order: list[str]) -> None:
        self.name = name
        self.end = asyncio.Event()
        self.task = asyncio.create_task(self._work(shared, order))

    async def _work(self, shared: Turns, order: list[str]) -> None:
        async with shared.take(self.name) as turn:
            order.append(self.name)
            ways = [asyncio.ensure_future(each.wait()) for each in (self.end, turn.over)]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_next_is_who_waits_longest_and_no_more_than_may_at_once() -> None:
    shared, order = Turns(2), list[str]()
    workers = [Worker(name, shared, order) for name in "abcd"]
    await settle()
    assert (order, shared.wanted) == (["a", "b"], True)
    workers[1].end.set()
    await settle()
    assert order == ["a", "b", "c"]
    workers[3].task.cancel()  # who gives up waiting takes nobody's place
    await settle()
    assert not shared.wanted
    for worker in workers:
        worker.end.set()
    await asyncio.gather(*(worker.task for worker in workers), return_exceptions=True)
    async with AsyncExitStack() as stack:
        for name in "xy":
            await stack.enter_async_context(shared.take(name))


async def test_who_is_in_a_hurry_is_next_and_the_longest_turn_ends_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LEAST_S", 0.0)
    shared, order = Turns(1), list[str]()
    workers = {name: Worker(name, shared, order) for name in "abc"}
    await settle()
    shared.hurry("nobody")
    shared.hurry("a")  # has its turn already
    await settle()
    assert order == ["a"]
    shared.hurry("c")
    async with asyncio.timeout(5):
        await workers["a"].task
    await settle()
    assert order == ["a", "c"]
    for worker in workers.values():
        worker.end.set()
    await asyncio.gather(*(worker.task for worker in workers.values()))
    assert order == ["a", "c", "b"]


async def test_who_is_in_a_hurry_before_it_comes_is_next_once_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LEAST_S", 0.0)
    shared, order = Turns(1), list[str]()
    workers = {name: Worker(name, shared, order) for name in "ab"}
    await settle()
    shared.hurry("c")  # it was in a pause
    await settle()
    assert not workers["a"].task.done()
    workers["c"] = Worker("c", shared, order)
    async with asyncio.timeout(5):
        await workers["a"].task
    await settle()
    assert order == ["a", "c"]
    # Once: the next time it waits like everybody.
    workers["c"].end.set()
    await settle()
    workers["again"] = Worker("c", shared, order)
    await settle()
    assert order == ["a", "c", "b"]
    assert not workers["b"].task.done()
    for worker in workers.values():
        worker.end.set()
    await asyncio.gather(*(worker.task for worker in workers.values()))


async def test_one_that_is_cancelled_as_it_is_called_passes_its_turn_on() -> None:
    shared, order = Turns(1), list[str]()
    first, second, third = (Worker(name, shared, order) for name in "abc")
    await settle()
    first.end.set()
    await asyncio.gather(first.task)
    second.task.cancel()
    async with asyncio.timeout(5):
        third.end.set()
        await third.task
    assert order[-1] == "c"
