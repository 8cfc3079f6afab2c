"""A hub and its cloud in one process, with nothing between but what would go over the wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.sync.cloud_end import Peer
from app.sync.line import Line, LineLost
from app.sync.wire import Answer, Request, decode_answer, decode_request, encode
from tests.api.harness import Api


class DirectLine:
    """Every message is encoded and decoded; `cut` ends it."""

    def __init__(self, cloud: Api, peer: Peer) -> None:
        self._cloud = cloud
        self._peer = peer
        self._told: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.octets = 0
        self.messages: list[bytes] = []

    async def ask(self, request: Request) -> Answer:
        asked = encode(request)
        answer = encode(await self._cloud.services.sync.cloud_end.answer(self._peer, decode_request(asked)))
        self.octets += len(asked) + len(answer)
        self.messages += [asked, answer]
        decoded: Answer = decode_answer(answer)
        return decoded

    def tell(self, notice: Answer) -> bool:
        self._told.put_nowait(encode(notice))
        return True

    async def told(self) -> AsyncIterator[Answer]:
        while (notice := await self._told.get()) is not None:
            yield decode_answer(notice)
        raise LineLost("cut")

    def cut(self) -> None:
        self._told.put_nowait(None)


class DirectDoor:
    """Opens while `up`."""

    def __init__(self, cloud: Api, hub: Api) -> None:
        self._cloud = cloud
        self._hub = hub
        self.up = asyncio.Event()
        self.up.set()
        self.line_now: DirectLine | None = None

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        if not self.up.is_set():
            raise LineLost("the network is cut")
        peer = Peer(self._hub.services.hub.view().id, self._hub.services.sync.node)
        self.line_now = line = DirectLine(self._cloud, peer)
        disconnect = self._cloud.services.sync.cloud_end.connect(peer, line.tell)
        try:
            yield line
        finally:
            disconnect()
            self.line_now = None

    def cut(self) -> None:
        """Until `up` is set."""
        self.up.clear()
        if self.line_now is not None:
            self.line_now.cut()
