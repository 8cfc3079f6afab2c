"""A pairing session as its steps happen, and the answers it waits for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from app.client import Client
from app.errors import DoorstepError

TERMINAL: Final = frozenset({"joined", "failed", "cancelled", "expired"})
# The stream says when to look; this is for when the stream itself broke.
LOOK_AGAIN_SECONDS: Final = 2.0

Session = dict[str, Any]


async def follow(api: Client, session: Session) -> AsyncIterator[tuple[Session, list[Any]]]:
    """The session each time it has moved, with the steps that are new; the last one is terminal.

    It is read anew whenever the event stream says that something happened, so nothing is missed and nothing told twice.
    """
    path = f"/api/homes/{session['home_id']}/pairing/{session['id']}"
    news = asyncio.Event()
    listening = asyncio.create_task(_listen(api, news))
    told, state = 0, ""
    try:
        while True:
            steps = [step for step in session["steps"] if step["seq"] > told]
            if steps or session["state"] != state:
                told = max([told, *(step["seq"] for step in steps)])
                state = session["state"]
                yield session, steps
            if state in TERMINAL:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), LOOK_AGAIN_SECONDS)
            news.clear()
            session = await api.get(path)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _listen(api: Client, news: asyncio.Event) -> None:
    while True:
        with contextlib.suppress(DoorstepError):
            async with api.events() as stream:
                news.set()
                async for _ in stream:
                    news.set()
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def waiting(session: Session) -> Any | None:
    """The attempt that waits for the person (its `state` is asking or confirming), if one does."""
    return next((one for one in session["attempts"] if one["state"] in ("asking", "confirming")), None)
