"""News for one reader who may be slow: what he has not read of somebody is replaced by what is newer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic

from pairing.announcement import A, Gone


class News(Generic[A]):
    """`async for each in news`, in the order it was told. As long as the tellers are few, so is what waits."""

    def __init__(self) -> None:
        self._unread: dict[str, A | Gone] = {}
        self._some = asyncio.Event()

    def __len__(self) -> int:
        """How much is unread."""
        return len(self._unread)

    def tell(self, news: A | Gone) -> None:
        """Have it read, in place of what is unread of the same id."""
        self._unread[news.id] = news
        self._some.set()

    def __aiter__(self) -> AsyncIterator[A | Gone]:
        return self

    async def __anext__(self) -> A | Gone:
        while not self._unread:
            self._some.clear()
            await self._some.wait()
        return self._unread.pop(next(iter(self._unread)))
