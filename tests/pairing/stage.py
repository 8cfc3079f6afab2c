"""Two talks played against each other in memory: every frame in sight, every failure on cue."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from pairing.errors import ConnectionLostError, PeerSilentError
from pairing.talk import Action, Answer, Commit, Compute, Confirm, Entropy, Progress, Receive, Send, Talk

Who = Literal["hub", "device"]
Tamper = Callable[[Who, int, bytes], Iterable[bytes]]


class PowerCutError(Exception):
    """The side lost power at its cue."""


@dataclass
class Cue:
    """Cut `who`'s power at its `turn`th Send or Commit, before or after the action has had its effect."""

    who: Who
    turn: int
    after: bool


@dataclass
class Player:
    who: Who
    talk: Talk[Any]
    on_commit: Callable[[Any], None]
    confirm: Callable[[str], bool]
    inbox: deque[bytes] = field(default_factory=deque)
    waiting: Receive | None = None
    over: bool = False
    result: Any = None
    error: Exception | None = None
    turns: int = 0
    sent: int = 0
    progress: list[Progress] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)


def seeded(seed: int) -> Entropy:
    return Random(seed).randbytes


def honest(_who: Who, _index: int, frame: bytes) -> Iterable[bytes]:
    return (frame,)


@dataclass
class Stage:
    hub: Player
    device: Player
    tamper: Tamper = honest
    cue: Cue | None = None
    frames: list[tuple[Who, bytes]] = field(default_factory=list)

    def play(self) -> "Stage":
        for player in (self.hub, self.device):
            self._advance(player, lambda talk: talk.send(None))
        while not (self.hub.over and self.device.over):
            if not self._deliver():
                self._let_time_pass()
        return self

    def _deliver(self) -> bool:
        for player in (self.hub, self.device):
            if player.waiting and player.inbox and not player.over:
                frame = player.inbox.popleft()
                self._advance(player, lambda talk, frame=frame: talk.send(frame))  # type: ignore[misc]
                return True
        return False

    def _let_time_pass(self) -> None:
        waiting = [player for player in (self.hub, self.device) if not player.over]
        first = min(waiting, key=lambda p: p.waiting.timeout if p.waiting else 0.0)
        other = self.device if first is self.hub else self.hub
        lost = ConnectionLostError() if other.over else PeerSilentError()
        self._advance(first, lambda talk: talk.throw(lost))

    def _advance(self, player: Player, step: Callable[[Talk[Any]], Action]) -> None:
        player.waiting = None
        try:
            action = step(player.talk)
            while not isinstance(action, Receive):
                try:
                    answer = self._carry_out(player, action)
                except PowerCutError:
                    raise
                except Exception as error:
                    action = player.talk.throw(error)
                else:
                    action = player.talk.send(answer)
            player.waiting = action
        except StopIteration as stop:
            player.over, player.result = True, stop.value
        except Exception as error:
            player.over, player.error = True, error
            player.talk.close()

    def _carry_out(self, player: Player, action: Action) -> Answer:
        cut = self._cut(player, action)
        if cut and not cut.after:
            raise PowerCutError
        answer: Answer = None
        match action:
            case Send(frame):
                self._send(player, frame)
            case Progress():
                player.progress.append(action)
            case Confirm(code):
                player.codes.append(code)
                answer = player.confirm(code)
            case Commit(value):
                player.on_commit(value)
                answer = True
            case Compute(work):
                work()
        if cut:
            raise PowerCutError
        return answer

    def _cut(self, player: Player, action: Action) -> Cue | None:
        if not isinstance(action, Send | Commit):
            return None
        player.turns += 1
        return self.cue if self.cue and (self.cue.who, self.cue.turn) == (player.who, player.turns) else None

    def _send(self, player: Player, frame: bytes) -> None:
        other = self.device if player is self.hub else self.hub
        if other.over:
            raise ConnectionLostError
        for passed in self.tamper(player.who, player.sent, frame):
            self.frames.append((player.who, passed))
            other.inbox.append(passed)
        player.sent += 1
