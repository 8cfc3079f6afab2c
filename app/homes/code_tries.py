"""Wrong codes, counted: invitations and shares are opened by codes, and nobody may try many."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.accounts.attempts import PER_ACCOUNT, PER_ADDRESS, Allowance, Attempts, peer_of
from app.caller import Caller
from app.clock import Clock
from app.errors import DoorstepError


class CodeTries:
    """Counts codes that open nothing, against the address they come from and the account that tries them."""

    def __init__(
        self, clock: Clock, per_account: Allowance = PER_ACCOUNT, per_address: Allowance = PER_ADDRESS
    ) -> None:
        self._clock = clock
        self._by_account = Attempts(per_account)
        self._by_address = Attempts(per_address)

    @contextmanager
    def trying(self, by: Caller, *wrong: type[DoorstepError]) -> Iterator[None]:
        """Around one try, which counts when it ends in one of `wrong`; raises TooManyAttempts.

        Counted before it is known whether the code was right, so that many at once cannot slip through.
        """
        peer, account_id, now = peer_of(by.address), by.actor.account_id, self._clock.now().ms
        self._by_address.take(peer, now)
        if account_id is not None:
            self._by_account.take(account_id, now)
        try:
            yield
        except wrong:
            raise
        except BaseException:
            self._give_back(peer, account_id)
            raise
        self._give_back(peer, account_id)

    def _give_back(self, peer: str, account_id: str | None) -> None:
        self._by_address.give_back(peer)
        if account_id is not None:
            self._by_account.give_back(account_id)
