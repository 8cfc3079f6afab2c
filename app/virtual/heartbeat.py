"""A virtual device that calls home: what it says with each heartbeat, and what it does of what it is told. Pure."""

from typing import Final

from app.links.heartbeat.codec import MAX_ANSWERS, Beat, Done, Heard, Order, Said
from app.virtual.body import Body, Changes
from app.virtual.obeying import obey
from pairing.messages import Command

FIRMWARE: Final = "1.0.0"


class HeartbeatVoice:
    """`refuses`: answers every command with this error.

    `wiped`: the reset it was told of; it is as new, and its token is still to go.
    """

    def __init__(self, body: Body, every: int, *, refuses: str = "") -> None:
        self.body = body
        self.wiped = ""
        self._every = every
        self._refuses = refuses
        self._changes: Changes = {service: body.readable(service) for service in body.values}
        self._done: dict[str, Done] = {}
        self._owed: list[Done] = []

    def changed(self, changes: Changes) -> None:
        """What is different now is said with the next heartbeat."""
        for service, values in changes.items():
            self._changes.setdefault(service, {}).update(values)

    @property
    def has_news(self) -> bool:
        """Whether there is an answer that need not wait for the interval."""
        return bool(self._owed)

    def beat(self) -> Beat:
        """What it says now; `said` once the hub has it."""
        if self.wiped:
            return Beat(answers=(Done(self.wiped, ok=True),))
        return Beat(
            every=self._every,
            firmware=FIRMWARE,
            battery_percent=_whole(self.body.values.get("battery", {}).get("level")),
            signal_strength_dbm=-60,
            services=tuple(Said(service, values) for service, values in self._changes.items() if values),
            answers=tuple(self._owed[:MAX_ANSWERS]),
        )

    def said(self, beat: Beat) -> None:
        """The hub has that on its disk."""
        self._owed = self._owed[len(beat.answers) :]
        self._changes = {}

    def hear(self, heard: Heard) -> list[Order]:
        """Do what it is told, each id once; returns what it did."""
        done: list[Order] = []
        for order in heard.commands:
            if order.kind == "factory_reset":
                self._wipe(order.id)
                return [order]
            if order.id not in self._done:
                self._remember(self._do(order, heard.time))
                done.append(order)
            if self._done[order.id] not in self._owed:
                self._owed.append(self._done[order.id])
        return done

    def _do(self, order: Order, hub_now: int) -> Done:
        if self._refuses or order.kind == "factory_reset":
            return Done(order.id, ok=False, error=self._refuses)
        asked = Command(order.id, order.kind, order.service, order.values, order.name, order.params, order.expires_at)
        answer, changes = obey(self.body, asked, hub_now)
        self.changed(changes)
        return Done(answer.id, answer.ok, dict(answer.values), answer.error)

    def _remember(self, done: Done) -> None:
        self._done[done.id] = done
        if len(self._done) > MAX_ANSWERS:
            del self._done[next(iter(self._done))]

    def _wipe(self, reset_id: str) -> None:
        """As it left the factory, but for the token that it still needs to say so."""
        self.body.wake({})
        self._changes, self._done, self._owed = {}, {}, []
        self.wiped = reset_id


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
