"""Password hashing: argon2id on a few threads of its own, with a bounded queue in front."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.accounts.model import normal_password
from app.errors import TooMany

T = TypeVar("T")

# OWASP's first choice for argon2id: 19 MiB, two passes, one lane. 30 ms on a small server core, 150 ms on a Pi 4.
MEMORY_KIB: Final = 19 * 1024
PASSES: Final = 2
LANES: Final = 1
# Two at once take 38 MiB; of 32 waiting the last is answered after 32/2 * 150 ms = 2.4 s on the slowest hub.
THREADS: Final = 2
MAX_WAITING: Final = 32
RETRY_AFTER_S: Final = 3


class Passwords:
    """Hashes and verifies off the event loop; raises TooMany while too much is waiting."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._waiting = 0
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The verifier to keep."""
        return await self._run(lambda: self._hasher.hash(normal_password(password)))

    async def verify(self, verifier: str | None, password: str) -> bool:
        """Whether `password` is the one; takes as long for an account that has none or does not exist."""
        return await self._run(lambda: self._verify(verifier, password))

    def outdated(self, verifier: str) -> bool:
        """Whether `verifier` was made with other parameters than new ones are."""
        return self._hasher.check_needs_rehash(verifier)

    def close(self) -> None:
        """Let the threads end once they are done."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, verifier: str | None, password: str) -> bool:
        nobody = self._no_verifier()  # in both cases: the first call of either kind makes it
        try:
            self._hasher.verify(verifier or nobody, normal_password(password))
        except (VerificationError, InvalidHashError):
            return False
        return verifier is not None

    def _no_verifier(self) -> str:
        if self._nobody is None:
            self._nobody = self._hasher.hash(secrets.token_bytes(32))
        return self._nobody

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise TooMany("Many people are signing in right now.", retry_after=RETRY_AFTER_S)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1
