"""What connected clients ask: publish, subscribe, acknowledge. Nothing is acknowledged before it is on disk."""

from collections.abc import Sequence
from functools import partial

import structlog

from app.errors import DoorstepError
from app.links.mqtt import keeping, writing
from app.links.mqtt.client import Client
from app.links.mqtt.errors import Declined, ProtocolBroken, Reason
from app.links.mqtt.keeping import Change
from app.links.mqtt.limits import Limits
from app.links.mqtt.packets import V5, Ack, Disconnect, Kind, Publish, Subscribe, Subscription, Unsubscribe
from app.links.mqtt.ports import Admission, Hearing, Message, Principal, Seen
from app.links.mqtt.session import Session
from app.links.mqtt.spaces import Delivery, Spaces
from app.links.mqtt.topics import SHARED
from app.store.store import Store
from pairing.text import clean

# Topics a connection has been allowed or refused; one that uses more is asked about again.
PERMITS = 64
# QoS 2 messages one client may leave unreleased.
UNRELEASED = 1024
_NOT_AUTHORIZED = Declined(Reason.NOT_AUTHORIZED, "not a topic of its own")
_log = structlog.get_logger("doorstep.mqtt")

Outcome = DoorstepError | None


class Intake:
    """Deals with one packet, or several messages in a row, of one client at a time."""

    def __init__(self, store: Store, spaces: Spaces, admission: Admission, hearing: Hearing, limits: Limits) -> None:
        self._store = store
        self._spaces = spaces
        self._admission = admission
        self._hearing = hearing
        self._limits = limits
        self.messages = 0
        self.declined = 0

    async def publishes(self, client: Client, batch: list[Publish]) -> None:
        """Have them heard, in order, then acknowledge; raises DoorstepError when none may be acknowledged."""
        session, principal = client.talk.session, client.principal
        assert session is not None
        assert principal is not None
        fresh: list[tuple[int, Message]] = []
        outcomes: list[Outcome] = [None] * len(batch)
        again: set[int] = set()
        for at, packet in enumerate(batch):
            if packet.qos == 2:
                if packet.packet_id in session.inbound or packet.packet_id in again:
                    continue
                again.add(packet.packet_id)
            if not self.may_publish(client, principal, packet.topic):
                outcomes[at] = _NOT_AUTHORIZED
                continue
            fresh.append((at, _message(packet, session)))
        if len(session.inbound) + len(again) > UNRELEASED:
            raise ProtocolBroken("releases nothing", Reason.QUOTA)
        for (at, _), outcome in zip(fresh, await self.take(session, principal, [m for _, m in fresh]), strict=True):
            outcomes[at] = outcome
        self._answer(client, session, batch, outcomes)

    def may_publish(self, client: Client, principal: Principal, topic: str) -> bool:
        """Asked once a topic and connection."""
        permits = client.permits
        if permits is None or len(permits) > PERMITS:
            permits = client.permits = {}
        allowed = permits.get(topic)
        if allowed is None:
            allowed = permits[topic] = self._admission.may_publish(principal, topic)
            if not allowed:
                _log.info("mqtt topic refused", device=principal.device_id, topic=clean(topic))
        return allowed

    async def take(self, session: Session, principal: Principal, messages: Sequence[Message]) -> list[Outcome]:
        """Have them heard, kept for who subscribes, and delivered; returns when all of it is on disk."""
        if not messages:
            return []
        self.messages += len(messages)
        outcomes = list(await self._hearing.published(principal, messages))
        changes, deliveries = self._spread(session, messages, outcomes)
        await self._spaces.deliver(changes, deliveries)
        return outcomes

    def _spread(
        self, session: Session, messages: Sequence[Message], outcomes: list[Outcome]
    ) -> tuple[list[Change], list[Delivery]]:
        changes: list[Change] = []
        deliveries: list[Delivery] = []
        space = self._spaces.find(session.device_id)
        quiet = space is None or space.is_quiet
        for at, message in enumerate(messages):
            if outcomes[at] is not None:
                continue
            if message.seen is not None and not message.seen.written:
                changes.append(message.seen.keep_in)
            if quiet and not message.retain:
                continue
            try:
                more, towards = self._spaces.route(session, message)
            except Declined as error:
                outcomes[at] = error
                continue
            changes += more
            deliveries += towards
        return changes, deliveries

    def _answer(self, client: Client, session: Session, batch: list[Publish], outcomes: list[Outcome]) -> None:
        talk, level = client.talk, client.talk.level
        for packet, outcome in zip(batch, outcomes, strict=True):
            if outcome is not None:
                self.declined += 1
            if not packet.qos:
                continue
            code = 0 if outcome is None or level != V5 else _code(outcome)
            kind = Kind.PUBACK
            if packet.qos == 2:
                kind = Kind.PUBREC
                # A refused one is over; 3.1.1 knows no refusal, and goes on to PUBREL.
                if not code:
                    session.received(packet.packet_id)
            if packet.qos == 1 or code:
                talk.owed -= 1
            talk.out.append(writing.ack(kind, packet.packet_id, code, level))

    async def acknowledges(self, client: Client, ack: Ack) -> None:
        """PUBREL frees an id, PUBREC of a message with a row turns it to PUBREL; both are written first."""
        talk, session = client.talk, client.talk.session
        assert session is not None
        if ack.kind is Kind.PUBREC:
            message = session.flight.get(ack.packet_id)
            if message is not None and message.seq:
                await self._store.write(partial(keeping.released, seq=message.seq))
            talk.release(ack.packet_id)
            return
        ids = [ack.packet_id]
        while talk.todo and isinstance(following := talk.todo[0], Ack) and following.kind is Kind.PUBREL:
            del talk.todo[0]
            ids.append(following.packet_id)
        if session.row and session.inbound.intersection(ids):
            row = session.row
            await self._store.write(lambda tx: keeping.let_go(tx, row, ids))
        for packet_id in ids:
            known = packet_id in session.inbound
            session.let_free(packet_id)
            talk.owed = max(0, talk.owed - 1)
            code = 0 if known else Reason.PACKET_ID_UNKNOWN.code
            talk.out.append(writing.ack(Kind.PUBCOMP, packet_id, code, talk.level))

    async def subscribes(self, client: Client, asked: Subscribe) -> None:
        """SUBACK when it is on disk, then what is retained."""
        talk, session, principal = client.talk, client.talk.session, client.principal
        assert session is not None
        assert principal is not None
        codes, taken = [], []
        for topic_filter, subscription in asked.filters:
            code = self._granted(session, principal, topic_filter, subscription, talk.level)
            codes.append(code)
            if code < 0x80:
                taken.append((topic_filter, subscription, topic_filter not in session.subscriptions))
                session.subscriptions[topic_filter] = subscription
        retained = [
            message
            for topic_filter, subscription, new in taken
            if subscription.handling == 0 or (subscription.handling == 1 and new)
            for message in self._spaces.retained(principal.device_id, topic_filter, subscription)
        ]
        if taken and session.row:
            changes: list[Change] = [keeping.saved(session)]
            changes += filter(None, [self._spaces.placed(session, message) for message in retained])
            await self._store.write(keeping.together(changes))
        talk.out.append(writing.suback(asked.packet_id, codes, talk.level))
        for message in retained:
            client.send(message)
        if taken:
            self._hearing.subscribed(principal)

    def _granted(
        self, session: Session, principal: Principal, topic_filter: str, asked: Subscription, level: int
    ) -> int:
        if topic_filter.startswith(SHARED):
            # A device shares its topics with nobody.
            return Reason.SHARED.code
        if not self._admission.may_subscribe(principal, topic_filter):
            _log.info("mqtt filter refused", device=principal.device_id, topic=clean(topic_filter))
            return Reason.NOT_AUTHORIZED.code
        if topic_filter not in session.subscriptions and len(session.subscriptions) >= self._limits.subscriptions:
            return Reason.QUOTA.code
        return asked.qos

    async def unsubscribes(self, client: Client, asked: Unsubscribe) -> None:
        """UNSUBACK when it is on disk."""
        talk, session = client.talk, client.talk.session
        assert session is not None
        codes = [0 if session.subscriptions.pop(each, None) is not None else 0x11 for each in asked.filters]
        if session.row and 0 in codes:
            await self._store.write(keeping.saved(session))
        talk.out.append(writing.unsuback(asked.packet_id, codes, talk.level))

    def disconnects(self, client: Client, said: Disconnect) -> None:
        """It leaves, and what it wanted published if it were lost is not (3.14.4), unless it says so."""
        session = client.talk.session
        assert session is not None
        if said.life is not None:
            if not session.life and said.life:
                client.end(Reason.PROTOCOL_ERROR, "protocol")
                return
            session.life = min(said.life, self._limits.session_life)
        if said.code != 0x04:
            client.will = None
        client.close("client")


def _message(packet: Publish, session: Session) -> Message:
    seen = None
    if packet.qos == 2 and session.row:
        seen = Seen(partial(keeping.received, session.row, packet.packet_id))
    return Message(packet.topic, packet.payload, packet.qos, packet.retain, packet.properties, seen)


def _code(outcome: DoorstepError) -> int:
    return outcome.why.code if isinstance(outcome, Declined) else Reason.IMPLEMENTATION.code
