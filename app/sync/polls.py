"""What the cloud says of itself to hubs that ask one by one: kept from one long poll to the next (PROTOCOL.md 7)."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from app.sync.wire import Answer, Done, Head, Wait, encode

MOST_WAIT_S: Final = 55.0
# A hub that has had an answer asks again at once. One that has not within this is gone.
GRACE_S: Final = 15.0
# Of what one is to be told: one that does not ask for so much is gone as well.
MAX_TOLD: Final = 1_000

Heads = Mapping[str, tuple[str, int]]
Connect = Callable[[Callable[[Answer], bool]], Callable[[], None]]


class _Poll(Struct, eq=False):
    """Of one connection of one hub. `asking` polls are open; `expiry` runs while none is.

    `welcomed`: how far logs were that it was told of by a greeting, which an open poll cannot ask about.
    """

    end: Callable[[], None]
    woken: asyncio.Event
    notices: list[msgspec.Raw]
    welcomed: Heads = {}
    ended: bool = False
    asking: int = 0
    expiry: asyncio.TimerHandle | None = None


class Polls:
    """By peer. `heads`: (epoch, head) of every log, as it is now."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self._polls: dict[object, _Poll] = {}
        self._closed = False

    async def wait(self, peer: object, request: Wait, connect: Connect) -> Done:
        """Return once there is something to say, or the time is over. `connect` is asked where the hub is new."""
        poll = self._polls.get(peer) or self._begin(peer, connect)
        wanted = {home_id: (epoch, head) for home_id, epoch, head in request.homes}
        poll.asking += 1
        if poll.expiry is not None:
            poll.expiry.cancel()
            poll.expiry = None
        try:
            async with asyncio.timeout(min(max(0.0, request.seconds), MOST_WAIT_S)):
                while not (self._closed or poll.ended or poll.notices or self._beyond({**poll.welcomed, **wanted})):
                    poll.woken.clear()
                    await poll.woken.wait()
        except TimeoutError:
            pass
        finally:
            poll.asking -= 1
            if not (poll.asking or poll.ended):
                poll.expiry = asyncio.get_running_loop().call_later(GRACE_S, self.end, peer, poll)
        notices = poll.notices[:]
        poll.notices.clear()
        return Done(0, heads=self._beyond({**poll.welcomed, **wanted}), notices=notices)

    def welcomed(self, peer: object, heads: Heads) -> None:
        """The hub has been told of these logs, which may be others than it had when it asked."""
        if (poll := self._polls.get(peer)) is not None:
            poll.welcomed = heads

    def _begin(self, peer: object, connect: Connect) -> _Poll:
        notices: list[msgspec.Raw] = []
        woken = asyncio.Event()

        def tell(notice: Answer) -> bool:
            if len(notices) >= MAX_TOLD:
                return False
            # How far logs are is asked of what they are when there is somebody to tell.
            if not isinstance(notice, Head):
                notices.append(msgspec.Raw(encode(notice)))
            woken.set()
            return True

        poll = self._polls[peer] = _Poll(connect(tell), woken, notices)
        return poll

    def end(self, peer: object, poll: _Poll | None = None) -> None:
        """The hub is gone, or begins anew: what it was to be told, it is told again as a new one. Open polls end."""
        found = self._polls.get(peer)
        if found is None or poll not in (None, found):
            return
        del self._polls[peer]
        found.ended = True
        if found.expiry is not None:
            found.expiry.cancel()
        found.end()
        found.woken.set()

    def close(self) -> None:
        """This node stops: every poll is answered, and none waits any more."""
        self._closed = True
        for peer, poll in tuple(self._polls.items()):
            self.end(peer, poll)

    def _beyond(self, wanted: Heads) -> list[tuple[str, str, int]]:
        return [
            (home_id, *self._heads[home_id])
            for home_id, had in wanted.items()
            if home_id in self._heads and self._heads[home_id] != had
        ]
