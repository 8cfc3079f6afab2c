"""How clients come and go: admission, taking a session up or over, and what is published when one is lost."""

import asyncio
import secrets
from typing import TYPE_CHECKING

import structlog
from msgspec.structs import replace

from app.errors import DoorstepError
from app.links.mqtt import keeping, writing
from app.links.mqtt.client import Client
from app.links.mqtt.errors import NotAdmitted, Reason
from app.links.mqtt.keeping import Change
from app.links.mqtt.packets import V5, V311, Connect, Will
from app.links.mqtt.ports import Admission, Connected, Hearing, Message, Offered, Principal
from app.links.mqtt.session import Outgoing, Session
from app.store.errors import StoreError

if TYPE_CHECKING:
    from app.links.mqtt.endpoint import Endpoint

_log = structlog.get_logger("doorstep.mqtt")


class Arrivals:
    """`connect` lets a client in or not; `left` once it is over."""

    def __init__(self, endpoint: "Endpoint", admission: Admission, hearing: Hearing) -> None:
        self._endpoint = endpoint
        self._admission = admission
        self._hearing = hearing
        # Wills that wait, by their session: when (ms), whose, and what.
        self._delayed: dict[Session, tuple[int, Principal, Will]] = {}

    async def connect(self, client: Client, asked: Connect) -> None:
        """Answer CONNECT."""
        try:
            principal = client.principal = await self._admitted(client, asked)
            if not client.is_gone:
                await self._let_in(client, asked, principal)
        except NotAdmitted as error:
            self._endpoint.counts["refused"] += 1
            _log.info("mqtt refused", address=client.address, why=error.why.name, detail=str(error))
            client.refuse(error.why)
        except DoorstepError as error:
            _log.info("mqtt unavailable", address=client.address, code=error.code)
            if client.is_welcome:
                client.end(Reason.UNAVAILABLE, "refused")
            else:
                client.refuse(Reason.UNAVAILABLE)

    async def _admitted(self, client: Client, asked: Connect) -> Principal:
        if asked.auth_method:
            raise NotAdmitted(Reason.AUTH_METHOD, "asks for a way to authenticate there is none of")
        if not asked.client_id and not asked.clean and asked.level == V311:
            # MQTT-3.1.3-8
            raise NotAdmitted(Reason.CLIENT_ID, "a session that is to stay has no name")
        offered = Offered(
            client_id=asked.client_id,
            username=asked.username,
            password=asked.password,
            certificate=client.certificate,
            address=client.address,
            level=asked.level,
            clean=asked.clean,
            keep_alive=asked.keep_alive,
        )
        principal = await self._admission.admit(offered)
        if asked.will is not None and not self._admission.may_publish(principal, asked.will.topic):
            raise NotAdmitted(Reason.NOT_AUTHORIZED, "its will is for no topic of its own")
        if not principal.session:
            principal = replace(principal, session=asked.client_id or f"auto-{secrets.token_hex(8)}")
        return principal

    async def _let_in(self, client: Client, asked: Connect, principal: Principal) -> None:
        endpoint = self._endpoint
        while (former := endpoint.spaces.connection(principal.device_id, principal.session)) is not None:
            await self._take_over(former)
            if client.is_gone:
                return
        session, resumed, changes, will = self._session(asked, principal)
        session.connection = client
        try:
            stored = await self._open(session, changes)
        except StoreError:
            self._abandon(session)
            raise
        if will is not None:
            await self._publish(session, principal, will)
        session.take_up(stored)
        client.will = asked.will
        client.implicit = self._admission.implicit(principal)
        self._welcome(client, asked, session, resumed=resumed)
        how = Connected(client.address, asked.level, resumed, client.via, client.keep_alive)
        endpoint.admitted(client)
        self._hearing.connected(principal, how)
        client.talk.pump(endpoint.now_ms)
        client.flush()

    async def _take_over(self, former: Client) -> None:
        """The newest is the client: an older connection ends before the new one is answered (MQTT-3.1.4-2)."""
        if former.over is None:
            former.over = asyncio.get_running_loop().create_future()
        former.end(Reason.TAKEN_OVER, "taken_over")
        await asyncio.shield(former.over)

    async def _open(self, session: Session, changes: list[Change]) -> list[Outgoing]:
        """Write it, and read what it is owed."""
        endpoint, row = self._endpoint, session.row
        if row:
            changes.append(keeping.saved(session))
        if changes:
            await endpoint.store.write(keeping.together(changes))
        if not row or not session.kept:
            return []
        endpoint.keeping.flush()
        return await endpoint.store.write(lambda tx: keeping.owed(tx, row))

    def _abandon(self, session: Session) -> None:
        session.connection = None
        session.ends_at = self._endpoint.now_ms + session.life * 1000
        if not session.life:
            self._endpoint.spaces.remove(session)

    def _session(self, asked: Connect, principal: Principal) -> tuple[Session, bool, list[Change], Will | None]:
        """The session of this name as it was, or a new one.

        Besides, whether it was there; what is to be written of one that ends by that, and the will that waited for it.
        """
        endpoint, limits, changes = self._endpoint, self._endpoint.limits, list[Change]()
        space, will = endpoint.spaces.of(principal.device_id), None
        session = space.sessions.get(principal.session)
        waiting = self._delayed.pop(session, None) if session is not None else None
        if session is not None and asked.clean:
            changes += _some(endpoint.spaces.remove(session))
            will = waiting[2] if waiting is not None else None
            session, space = None, endpoint.spaces.of(principal.device_id)
        resumed = session is not None
        if session is None:
            changes += self._room(list(space.sessions.values()))
            session = endpoint.spaces.of(principal.device_id).sessions[principal.session] = Session(
                principal.device_id, principal.session
            )
        session.life = limits.session_life if asked.life is None else min(asked.life, limits.session_life)
        session.ends_at = None
        if session.life and not session.row:
            endpoint.keeping.number(session)
        return session, resumed, changes, will

    def _room(self, sessions: list[Session]) -> list[Change]:
        """For one more: of too many, the one that would end first gives way."""
        if len(sessions) < self._endpoint.limits.sessions:
            return []
        idle = sorted((s for s in sessions if s.connection is None), key=lambda s: s.ends_at or 0)
        if not idle:
            raise NotAdmitted(Reason.QUOTA, "the device has as many connections as it may")
        return _some(self._endpoint.spaces.remove(idle[0]))

    def _welcome(self, client: Client, asked: Connect, session: Session, *, resumed: bool) -> None:
        limits = self._endpoint.limits
        client.keep_alive, told = asked.keep_alive, None
        if asked.level == V5 and not 0 < asked.keep_alive <= limits.keep_alive:
            client.keep_alive = told = limits.keep_alive
        cut = asked.level == V5 and session.life != asked.life
        client.talk.out.append(
            writing.connack(
                asked.level,
                present=resumed,
                limits=limits,
                assigned="" if asked.client_id else session.name,
                keep_alive=told,
                life=session.life if cut else 0,
            )
        )
        client.talk.accept(session, asked)

    async def left(self, client: Client, why: str) -> None:
        """Its socket is closed, and all it said is dealt with: what it leaves behind, and who is told."""
        session, principal = client.talk.session, client.principal
        try:
            if session is not None and principal is not None:
                await self._leave(client, session, principal, why)
        except DoorstepError as error:
            _log.warning("mqtt session not closed", device=session.device_id if session else "", code=error.code)
        finally:
            if client.over is not None and not client.over.done():
                client.over.set_result(None)

    async def _leave(self, client: Client, session: Session, principal: Principal, why: str) -> None:
        session.let_go()
        will, client.will = client.will, None
        session.ends_at = self._endpoint.now_ms + session.life * 1000
        try:
            await self._close(session)
            if will is not None and why != "stopping":
                if will.delay and session.life:
                    at = self._endpoint.now_ms + min(will.delay, session.life) * 1000
                    self._delayed[session] = (at, principal, will)
                else:
                    await self._publish(session, principal, will)
        finally:
            # Only now may the next connection have it: what it hears of comes after this.
            session.connection = None
            if not session.life:
                self._endpoint.spaces.remove(session)
            self._hearing.disconnected(principal, why)

    async def _close(self, session: Session) -> None:
        if not session.row:
            return
        row, change = session.row, keeping.saved(session)
        if not session.life:
            session.row, change = 0, lambda tx: keeping.erase(tx, row)
        await self._endpoint.store.write(change)

    async def _publish(self, session: Session, principal: Principal, will: Will) -> None:
        message = Message(will.topic, will.payload, will.qos, will.retain, will.properties)
        try:
            await self._endpoint.intake.take(session, principal, [message])
        except DoorstepError as error:
            _log.warning("mqtt will not taken", device=principal.device_id, code=error.code)

    async def tidy(self, now_ms: int) -> None:
        """Publish wills whose time has come, and forget sessions nobody has come back to."""
        for session, (at, principal, will) in list(self._delayed.items()):
            if at <= now_ms and self._delayed.pop(session, None) is not None:
                await self._publish(session, principal, will)
        changes = [change for s in self._endpoint.spaces.ended() for change in _some(self._endpoint.spaces.remove(s))]
        if changes:
            await self._endpoint.store.write(keeping.together(changes))

    def forget(self, device_id: str) -> None:
        """Nothing more is published in its name."""
        for session in [each for each in self._delayed if each.device_id == device_id]:
            del self._delayed[session]

    def is_due(self, now_ms: int) -> bool:
        """Whether a will's time has come."""
        return any(at <= now_ms for at, _, _ in self._delayed.values())


def _some(change: Change | None) -> list[Change]:
    return [] if change is None else [change]
