"""`pairing.session.log.SessionLog` over the store: each step on disk before its effect is carried out."""

from collections.abc import Sequence

import msgspec

from app.onboarding import queries
from app.onboarding.model import step_view
from app.policy import Action, Actor
from app.store.store import Store
from app.store.tx import Change, Reader, Tx
from pairing.session.log import Entry, Secrets, Stored
from pairing.session.states import SessionState


class DurableLog:
    """Sessions in rows, their secrets in the vault for as long as they are open."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create(self, state: SessionState, secrets: Secrets) -> None:
        """Keep a new session."""

        def act(tx: Tx) -> None:
            queries.insert(tx, state)
            if secrets:
                self._store.vault.keep(tx, _row(state.id), msgspec.json.encode(dict(secrets)))
            tx.record(_actor(state), _change(state, "pairing.started", {"method": state.request.method}))

        await self._store.write(act)

    async def append(self, session_id: str, entry: Entry, state: SessionState) -> None:
        """Keep what an event led to; listeners hear of the steps, the audit trail of the end."""

        def act(tx: Tx) -> None:
            if not queries.update(tx, state):
                return
            steps = [step_view(step) for step in entry.steps]
            data = {"state": state.state.value, "steps": steps, "device_ids": list(state.devices)}
            tx.record(_actor(state), _change(state, "pairing.changed", data, audit=state.state.terminal))
            if state.state.terminal:
                self._store.vault.forget(tx, _row(session_id))

        await self._store.write(act)

    def forget_in(self, tx: Tx, session_id: str) -> None:
        """Its secrets are needed no more: it is about to end, or goes with its home."""
        self._store.vault.forget(tx, _row(session_id))

    async def open_sessions(self) -> Sequence[Stored]:
        """What a start of the hub finds unfinished."""

        def ask(reader: Reader) -> list[Stored]:
            return [
                Stored(state=state, secrets=self.secrets_in(reader, state.id))
                for state in queries.open_sessions(reader)
            ]

        return await self._store.read(ask)

    def secrets_in(self, reader: Reader, session_id: str) -> dict[str, str]:
        """A session's secrets; none once it has ended."""
        kept = self._store.vault.fetch(reader, _row(session_id))
        return {} if kept is None else msgspec.json.decode(kept, type=dict[str, str])


def _row(session_id: str) -> str:
    return f"pairing_session/{session_id}"


def _actor(state: SessionState) -> Actor:
    return Actor(state.request.account)


def _change(state: SessionState, kind: str, data: object, *, audit: bool = True) -> Change:
    return Change(kind, "pairing", state.id, state.request.home, Action.PAIR, data=data, audit=audit)
