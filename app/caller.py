"""Who asks and under which conditions: what a face hands to every service verb."""

from msgspec import Struct

from app.clock import Moment
from app.errors import ClockUntrusted, NotFound, Refused, VersionMismatch
from app.policy import SYSTEM, Action, Actor, Decision, Resource, Verdict, allowed
from app.store.once import Once


class Caller(Struct, frozen=True):
    """An actor, and what its request stated.

    `once` its Idempotency-Key, `if_match` the version it saw (None: it did not say), `address` where it came from,
    `request_id` for the log.
    """

    actor: Actor
    once: Once | None = None
    if_match: int | None = None
    address: str = ""
    request_id: str = ""

    def match(self, version: int) -> None:
        """Raise VersionMismatch unless the caller saw `version` or did not say what it saw."""
        if self.if_match is not None and self.if_match != version:
            raise VersionMismatch


BY_SYSTEM = Caller(SYSTEM)


def demand(actor: Actor, action: Action, resource: Resource, now: Moment) -> Decision:
    """Ask policy; raises NotFound, Refused or ClockUntrusted unless the answer is yes."""
    decision = allowed(actor, action, resource, now)
    match decision.verdict:
        case Verdict.YES:
            return decision
        case Verdict.HIDDEN:
            raise NotFound
        case Verdict.UNTRUSTED_CLOCK:
            raise ClockUntrusted
        case _:
            raise Refused
