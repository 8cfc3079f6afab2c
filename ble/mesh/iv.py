"""The IV index of a network (Mesh Protocol 1.1, 3.11.5 and 3.11.6): it moves forward only, and not too often."""

from msgspec import Struct
from msgspec.structs import replace

MIN_S = 96 * 3600.0
"""How long each state lasts at least."""
RECOVERY_S = 192 * 3600.0
"""How long after one recovery the next is taken at the earliest."""
MAX_JUMP = 42
"""How far ahead an IV index may be that is recovered to."""


class Iv(Struct, frozen=True, kw_only=True):
    """IV index and update state. `since` and `recovered` are seconds of wall-clock time; None where not known."""

    index: int = 0
    updating: bool = False
    since: float | None = None
    recovered: float | None = None

    @property
    def sending(self) -> int:
        """The index that what we send is sealed under: the old one while the update is in progress."""
        return self.index - self.updating


def heard(iv: Iv, index: int, updating: bool, now: float) -> Iv:
    """The state after an authentic beacon; the same one where it is too soon, too far ahead, or a rollback."""
    if index < iv.index or index > iv.index + MAX_JUMP or (index == iv.index and updating >= iv.updating):
        return iv
    if index == iv.index or (index == iv.index + 1 and updating and not iv.updating):
        return _moved(iv, index, updating, now)
    return _recovered(iv, index, updating, now)


def begin(iv: Iv, now: float) -> Iv:
    """An update of our own begun; the same state where it is too soon."""
    return iv if iv.updating else _moved(iv, iv.index + 1, True, now)


def finish(iv: Iv, now: float) -> Iv:
    """The update ended; the same state where it is too soon, and 96 hours from now where nobody knows when it began."""
    if iv.updating and iv.since is None:
        return replace(iv, since=now)
    return _moved(iv, iv.index, False, now) if iv.updating else iv


def _moved(iv: Iv, index: int, updating: bool, now: float) -> Iv:
    # A clock that was set back must not hold the network up, nor let it run: it starts the 96 hours anew.
    if iv.since is not None and now < iv.since:
        return replace(iv, since=now)
    if iv.since is not None and now - iv.since < MIN_S:
        return iv
    return replace(iv, index=index, updating=updating, since=now)


def _recovered(iv: Iv, index: int, updating: bool, now: float) -> Iv:
    """3.11.6: we were away while the network moved on."""
    if iv.recovered is not None and now - iv.recovered < RECOVERY_S:
        return iv
    return replace(iv, index=index, updating=updating, since=now, recovered=now)
