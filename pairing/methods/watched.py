"""The context of a search, watched by the method: whether it listens by now, and who was heard."""

import asyncio

from pairing.methods.method import SearchContext
from pairing.session.log import Secrets
from pairing.session.states import Candidate, Request


class Watched:
    """A `SearchContext` that passes everything on."""

    def __init__(self, context: SearchContext) -> None:
        self._context = context
        self.listening = asyncio.Event()
        self.candidates: set[str] = set()

    @property
    def session_id(self) -> str:
        return self._context.session_id

    @property
    def request(self) -> Request:
        return self._context.request

    @property
    def secrets(self) -> Secrets:
        return self._context.secrets

    async def note(self, key: str, /, **detail: str) -> None:
        await self._context.note(key, **detail)

    async def ready(self) -> None:
        await self._context.ready()
        self.listening.set()

    async def heard(self, candidate: Candidate) -> None:
        await self._context.heard(candidate)
        self.candidates.add(candidate.id)

    async def lost(self, candidate_id: str) -> None:
        await self._context.lost(candidate_id)
