"""Nonces for proofs of a key, a person's or a hub's: given to anybody, each good for one proof, kept by nobody.

A nonce carries its own end and a mark that only this process can make, so giving one costs no memory: whoever asks for
a million of them pushes nobody else's out. Only those that were used are remembered, until they would have ended.
After a restart the mark is another, and all that were given before are void.
"""

import heapq
import hmac
import secrets
from typing import Final

from app.accounts.proofs import EXPIRY_SIZE, NONCE_SIZE, ends_at
from app.errors import DoorstepError, Refused, TooMany

# Long enough to reach two nodes and find a person's thumb; short enough that a proof left lying about is worth nothing.
CHALLENGE_MS: Final = 5 * 60_000
# Proofs that were right, within one challenge's life: 33 a second.
MOST_USED: Final = 10_000
MARK_SIZE: Final = 16
_RANDOM: Final = NONCE_SIZE - EXPIRY_SIZE - MARK_SIZE
_MARKED: Final = b"Doorstep challenge 1"


class ChallengeOver(Refused):
    """The challenge this proof answers is not this hub's, has ended, or was answered before."""

    code = "challenge_over"
    hint = "Ask for a new challenge: each is good for one proof, within five minutes."


class Challenges:
    """The nonces of one process, each good for `life_ms`. `most` that were used are remembered at once.

    `over` is raised for what may not be answered, and `crowded` says what is too many.
    """

    def __init__(
        self,
        most: int = MOST_USED,
        *,
        life_ms: int = CHALLENGE_MS,
        over: type[DoorstepError] = ChallengeOver,
        crowded: str = "",
    ) -> None:
        self._key = secrets.token_bytes(32)
        self._most = most
        self._life_ms = life_ms
        self._over = over
        self._crowded = crowded
        self._used: set[bytes] = set()
        self._ending: list[tuple[int, bytes]] = []
        self._forgotten = 0

    def new(self, now: int) -> bytes:
        """A nonce that ends `life_ms` after `now` (ms)."""
        start = (now + self._life_ms).to_bytes(EXPIRY_SIZE) + secrets.token_bytes(_RANDOM)
        return start + self._mark(start)

    def check(self, nonce: bytes, now: int) -> None:
        """Raise `over` unless `nonce` may be answered at `now` (ms)."""
        start, mark = nonce[:-MARK_SIZE], nonce[-MARK_SIZE:]
        mine = len(nonce) == NONCE_SIZE and hmac.compare_digest(mark, self._mark(start))
        # What was forgotten as ended stays so, wherever the clock goes.
        in_time = max(now, self._forgotten) < ends_at(nonce) <= now + self._life_ms
        if not mine or not in_time or nonce in self._used:
            raise self._over

    def spend(self, nonce: bytes, now: int) -> None:
        """`nonce` is answered, and never again; raises `over`, TooMany."""
        self.check(nonce, now)
        while self._ending and self._ending[0][0] <= now:
            self._forgotten, over = heapq.heappop(self._ending)
            self._used.discard(over)
        if len(self._used) >= self._most:
            raise TooMany(self._crowded, retry_after=self._life_ms // 1000)
        self._used.add(nonce)
        heapq.heappush(self._ending, (ends_at(nonce), nonce))

    def _mark(self, start: bytes) -> bytes:
        return hmac.digest(self._key, _MARKED + start, "sha256")[:MARK_SIZE]

    def __len__(self) -> int:
        return len(self._used)
