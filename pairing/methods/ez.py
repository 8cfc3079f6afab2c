"""The EZ method: the hub speaks the network and the session's token into the air, and hears who comes of it.

ESP-TOUCH v1 and AirKiss have no place for a token: whoever joined by them could not be told from any other device, so
this method offers the two encodings that have.
"""

import asyncio
import re
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from pairing.ez import sender
from pairing.ez.answers import Answer, listening
from pairing.ez.encodings import ENCODINGS
from pairing.ez.frames import Credentials
from pairing.ez.sender import Attempt, Progress
from pairing.interfaces import Interfaces, own_addresses
from pairing.methods.method import TOKEN, AttemptContext, Follows, Input, MethodFailedError, SearchContext
from pairing.methods.over_lan import OverLan
from pairing.methods.watched import Watched
from pairing.session.log import Secrets
from pairing.session.states import Candidate, Request
from pairing.text import clean
from pairing.wifi import network_of

NAME = "ez"

SENDING = sender.HARD_STOP
"""Seconds of sending."""
JOIN_WITHIN = 30.0
"""Seconds from the last word, or from a device's answer, to its announcement."""
TELL_EVERY = 12.0
"""Seconds between two words on how the sending goes: a session remembers a few hundred steps."""
TURN = 30.0
"""Seconds a session sends before another that wants to has its turn: longer than one attempt in every encoding."""
MAX_INTERFACES = 8

ALL = "all"
OFFERED = tuple(name for name, encoding in ENCODINGS.items() if encoding.token)

_KEY = re.compile(r"([0-9a-fA-F]{32})?")


def ipv4_interfaces(interfaces: Interfaces = None) -> list[str]:
    """The addresses to send from, of those named or of all; loopback stands in for none."""
    return [address for address in own_addresses(interfaces) if ":" not in address][:MAX_INTERFACES]


class Ez:
    """A `Method`: devices are heard on `lan`, and spoken to from `interfaces`."""

    name = NAME
    follows: Follows | None = None
    inputs: tuple[Input, ...] = (
        Input(name="ssid"),
        Input(name="wifi_password", secret=True, optional=True),
        Input(name="bssid", optional=True),
        Input(name="encoding", optional=True),
        Input(name="esptouch_key", secret=True, optional=True),
        Input(name="pin", secret=True, optional=True),
        TOKEN,
    )

    def __init__(
        self,
        lan: OverLan,
        *,
        interfaces: Callable[[], Sequence[str]] = ipv4_interfaces,
        sending: float = SENDING,
        join_within: float = JOIN_WITHIN,
    ) -> None:
        self._lan = lan
        self._interfaces = interfaces
        self._sending = sending
        self._join_within = join_within
        self._air = asyncio.Lock()

    async def search(self, context: SearchContext) -> None:
        encodings, credentials = _encodings(context.request), _credentials(context.request, context.secrets)
        watched = _Watched(context)
        async with listening(watched.answered) as mark:
            credentials = replace(credentials, mark=mark or 0)
            attempts = [Attempt(name, ENCODINGS[name].encode(credentials, self._lan.entropy)) for name in encodings]

            async def speak(group: asyncio.TaskGroup) -> None:
                await self._follow(watched, group.create_task(self._send(watched, attempts)))

            await self._lan.hear_beside(watched, NAME, speak)

    async def attempt(self, context: AttemptContext) -> None:
        await self._lan.attempt(context)

    async def _send(self, watched: "_Watched", attempts: Sequence[Attempt]) -> None:
        interfaces = self._interfaces()
        await watched.note("lanes", encodings=" ".join(a.encoding for a in attempts), interfaces=" ".join(interfaces))
        now = asyncio.get_running_loop().time
        end = now() + self._sending
        plans, telling = dict.fromkeys(interfaces, attempts), _Telling(watched, end)
        while (left := end - now()) > 0:
            # Two sessions at once would garble one another: they take turns.
            async with self._air:
                await sender.send(plans, on_progress=telling.progress, seconds=min(TURN, left))

    async def _follow(self, watched: "_Watched", sending: asyncio.Task[None]) -> None:
        """Returns when the time is over and somebody was heard; raises why nobody was."""
        now = asyncio.get_running_loop().time
        end = now() + self._sending + self._join_within
        hint_at = end
        while now() < end:
            if await watched.news(min(hint_at, end) - now()):
                hint_at = min(hint_at, now() + self._join_within) if watched.answers else end
            elif hint_at <= now() < end:
                # Whoever answered may have lied: the sending goes on, and the person decides.
                hint_at = end
                if not watched.candidates:
                    await watched.note("nothing_heard", hint="check_isolation")
            if len(watched.candidates) >= watched.request.want:
                sending.cancel()
        if not watched.candidates:
            raise _why_nobody(watched.answers)


def _why_nobody(answers: Sequence[Answer]) -> MethodFailedError:
    if answers:
        return MethodFailedError("joined_never_announced", address=answers[0].address)
    return MethodFailedError("never_decoded")


class _Watched(Watched):
    """What has come of a search so far: devices heard on the LAN, and answers to what is said."""

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        self._told = 0
        self._some = asyncio.Event()
        self.answers: list[Answer] = []

    async def heard(self, candidate: Candidate) -> None:
        await super().heard(candidate)
        self._some.set()

    def answered(self, answer: Answer) -> None:
        self.answers.append(answer)
        self._some.set()

    async def news(self, seconds: float) -> bool:
        """Wait for news, and tell the person of answers; False when there are none for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._some.wait()
        except TimeoutError:
            return False
        self._some.clear()
        for answer in self.answers[self._told :]:
            self._told += 1
            await self.note("decoded", address=answer.address, mac=answer.mac)
        return True


class _Telling:
    """Counts the attempts, and tells of them now and then. The first interface to begin stands for all."""

    def __init__(self, context: SearchContext, end: float) -> None:
        self._context = context
        self._end = end
        self._due = 0.0
        self._first = ""
        self._attempt = 0

    async def progress(self, progress: Progress) -> None:
        self._first = self._first or progress.interface
        if progress.interface != self._first:
            return
        self._attempt += 1
        now = asyncio.get_running_loop().time()
        if now < self._due:
            return
        self._due = now + TELL_EVERY
        left = str(round(self._end - now))
        await self._context.note("sending", encoding=progress.encoding, attempt=str(self._attempt), seconds_left=left)


def _encodings(request: Request) -> tuple[str, ...]:
    wanted = request.inputs.get("encoding", OFFERED[0])
    if wanted == ALL:
        return OFFERED
    if wanted not in OFFERED:
        raise MethodFailedError("no_method", encoding=clean(wanted))
    return (wanted,)


def _credentials(request: Request, secrets: Secrets) -> Credentials:
    """Raises UnfitNetworkError, MethodFailedError: what nobody could join is not sent."""
    inputs, digits = request.inputs, secrets.get("esptouch_key", "")
    network = network_of(inputs["ssid"], secrets.get("wifi_password", ""), inputs.get("bssid", ""))
    if not _KEY.fullmatch(digits):
        raise MethodFailedError("no_method", input="esptouch_key")
    return Credentials(network=network, token=bytes.fromhex(secrets["token"]), key=bytes.fromhex(digits))
