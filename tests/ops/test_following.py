"""Verbs that follow what happens at a hub, and are interrupted: they end, whatever comes at the same moment."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from app.client import Client
from app.commands.catching_up import standings
from app.commands.following import changes, follow

SEARCHING: dict[str, Any] = {"id": "s", "home_id": "h", "state": "searching", "steps": []}
MOVING: dict[str, Any] = {"state": "open", "devices": [{"device_id": "d", "state": "told"}]}
CATCHING_UP: dict[str, Any] = {"state": "snapshot", "to_push": 0, "to_pull": 9}


class Telling(Client):
    """A hub whose events tell one thing, and whoever follows is interrupted in the same turn of the loop."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__("http://nowhere")
        self.told = asyncio.Event()
        self.interrupt: Callable[[], object] = lambda: None
        self._answer, self._interrupted = answer, False

    async def get(self, path: str, **_: str | int) -> Any:
        assert not self._interrupted, "it goes on"
        return self._answer

    @asynccontextmanager
    async def events(self, *_: str | None) -> AsyncIterator[AsyncIterator[Any]]:
        yield self._stream()

    async def _stream(self) -> AsyncIterator[Any]:
        await self.told.wait()
        yield "news"
        self._interrupted = True  # the news is known by now, and nobody has woken of it yet
        self.interrupt()
        await asyncio.Event().wait()


def a_session(api: Client) -> AsyncGenerator[Any, None]:
    return follow(api, SEARCHING)


def a_move(api: Client) -> AsyncGenerator[Any, None]:
    return changes(api, "/wifi-change", MOVING)


def a_first_sync(api: Client) -> AsyncGenerator[Any, None]:
    return standings(api, "h")


@pytest.mark.parametrize(
    ("following", "answer"), [(a_session, SEARCHING), (a_move, MOVING), (a_first_sync, CATCHING_UP)]
)
async def test_interrupted_just_as_there_is_news_it_ends(
    following: Callable[[Client], AsyncGenerator[Any, None]], answer: dict[str, Any]
) -> None:
    api = Telling(answer)
    before = asyncio.all_tasks()

    async def verb() -> None:
        async with aclosing(following(api)) as moments:
            async for _ in moments:
                api.told.set()

    task = asyncio.create_task(verb())
    api.interrupt = task.cancel
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
