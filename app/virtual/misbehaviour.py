"""Ways for a device to be a bad one, on request: what hubs and apps are tested against."""

import asyncio
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from pairing.pump import OnProgress
from pairing.talk import Action, Answer, Commit, Progress, Receive, Send, T, Talk
from pairing.wire import Kind

FOREVER = 86_400.0
_PROOFS = (Kind.HANDSHAKE, Kind.SHARE_V)
_WAIT = "misbehaving.wait"


class PowerLost(Exception):
    """The device goes off in the middle of what it does. Not a PairingError: nobody is told."""

    def __init__(self, step: str) -> None:
        super().__init__(step)
        self.step = step


class Misbehaviour(Struct, frozen=True, kw_only=True):
    """How the device is bad. The default is a good one.

    `silent`: says nothing to a hub that wants to pair it. `slow`: waits that many seconds before whatever it says.
    `wrong_proof`: proves itself wrongly while pairing; `wrong_credential`: while linking. `dies_at`: goes off at this
    step. `deaf`: takes commands and does nothing. `refuses`: answers every command with this error. `twice`: gives each
    answer twice. `replays`: sends each sealed frame of its link twice. `babbles`: sends no JSON once it is linked.
    """

    silent: bool = False
    slow: float = 0.0
    wrong_proof: bool = False
    wrong_credential: bool = False
    dies_at: str = ""
    deaf: bool = False
    refuses: str = ""
    twice: bool = False
    replays: bool = False
    babbles: bool = False

    def check_power(self, step: str) -> None:
        """Raise PowerLost where this is the step to die at."""
        if step == self.dies_at:
            raise PowerLost(step)


DEATHS: Final = (
    *("proving", "code", "prepared"),  # pairing/PROTOCOL.md, "Activation"
    *("linked", "command", "answer"),  # linked: before hello; command: taken, not done; answer: kept, not sent
)
"""The steps by name; a number N is the Nth frame sent, or state saved, of an activation."""
_FLAGS: Final = ("silent", "wrong_proof", "wrong_credential", "deaf", "twice", "replays", "babbles")


def parse(words: Iterable[str]) -> Misbehaviour:
    """`silent`, `slow=2`, `dies-at=prepared`, ... combined. Raises ValueError naming the word and what is possible."""
    chosen: dict[str, bool | str | float] = {}
    for word in words:
        name, _, value = word.partition("=")
        chosen.update(_one(word, name.replace("-", "_"), value))
    return Misbehaviour(**chosen)  # type: ignore[arg-type] # each by its name in _one


def _one(word: str, name: str, value: str) -> dict[str, bool | str | float]:
    if name in _FLAGS and not value:
        return {name: True}
    if name == "refuses":
        return {name: value or "busy"}
    if name == "slow":
        seconds = float(value or "1") if value.replace(".", "", 1).isdigit() or not value else -1.0
        if 0 <= seconds <= FOREVER:
            return {name: seconds}
        raise ValueError(f"{word}: slow=SECONDS")
    if name == "dies_at" and (value in DEATHS or value.isdigit()):
        return {name: value}
    if name == "dies_at":
        raise ValueError(f"{word}: dies-at=STEP, one of {', '.join(DEATHS)}, or a number")
    ways = ", ".join(flag.replace("_", "-") for flag in _FLAGS)
    raise ValueError(f"{word}: one of {ways}, refuses[=CODE], slow[=SECONDS], dies-at=STEP")


def misbehave(talk: Talk[T], how: Misbehaviour) -> Talk[T]:
    """The talk as a device that is bad in this way holds it. Run by a shell whose `on_progress` is `waiting`."""
    if how.silent:
        talk.close()
        while True:
            yield Receive(FOREVER, "silent")
    return (yield from _bent(talk, how))


def _bent(talk: Talk[T], how: Misbehaviour) -> Talk[T]:
    answer: Answer = None
    failed: Exception | None = None
    steps = 0
    while True:
        try:
            action = talk.throw(failed) if failed else talk.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        steps += isinstance(action, Send | Commit)
        how.check_power(action.step if isinstance(action, Progress) else str(steps))
        if how.slow and isinstance(action, Send):
            yield Progress(_WAIT, str(how.slow))
        answer, failed = None, None
        try:
            answer = yield _bend(action, how)
        except Exception as error:
            failed = error


def _bend(action: Action, how: Misbehaviour) -> Action:
    if how.wrong_proof and isinstance(action, Send) and action.frame[0] in _PROOFS:
        return Send(action.frame[:-1] + bytes([action.frame[-1] ^ 1]))
    return action


def waiting(on_progress: OnProgress) -> OnProgress:
    """`on_progress`, and the waits of `misbehave`."""

    async def tell(progress: Progress) -> None:
        if progress.step == _WAIT:
            await asyncio.sleep(float(progress.detail))
        else:
            await on_progress(progress)

    return tell
