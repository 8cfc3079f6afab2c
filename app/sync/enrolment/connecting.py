"""How a hub talks to its cloud: one pinned line, MessagePack there and back, and every failure by its name."""

import asyncio
import re
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx2
import msgspec
from msgspec import Struct

from app.client import HubUnreachable, PinMismatch, pinned, why
from app.errors import Conflict, Invalid
from app.sync.enrolment.model import HubUnproved, Revoked, Superseded
from app.sync.enrolment.wire import MEDIA_TYPE, T, decode

MAX_ANSWER: Final = 16 * 1024 * 1024
ANSWER_S: Final = 30.0
CONNECT_S: Final = 10.0
_CODE: Final = re.compile(r"[a-z0-9_]{1,64}")
MAX_SAID: Final = 300


class CloudUnreachable(Conflict):
    """The cloud does not answer."""

    # Who joins a cloud names its address: a wrong one is no failure of this hub's, so no 5xx.
    code = "cloud_unreachable"
    retryable = True
    hint = "Is its address right, and the internet there? What works at home goes on, and an enrolled hub tries again."


class CloudPinWrong(CloudUnreachable):
    """What answers at the cloud's address is not the cloud: it shows another certificate."""

    code = "cloud_pin_wrong"
    hint = "Is a portal or a proxy in between? If the cloud has a new key, enrol the hub with a new code."


class CloudRefused(Conflict):
    """The cloud refused; `code` and `hint` are its own."""

    code = "cloud_refused"

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        said = str(problem.get("detail") or problem.get("title") or f"The cloud answered {status}.")
        super().__init__(said[:MAX_SAID])
        self.status = status
        if _CODE.fullmatch(code := str(problem.get("code"))):
            self.code = code  # type: ignore[misc]
        self.hint = str(problem.get("hint") or "")[:MAX_SAID]  # type: ignore[misc]


class TokenOver(CloudRefused):
    """The token opens nothing (any more)."""

    code = "unauthenticated"


_BY_CODE: Final[dict[str, type[Revoked] | type[Superseded]]] = {
    Revoked.code: Revoked,
    Superseded.code: Superseded,
    # The cloud knows no such key: whatever became of the enrolment, it is over.
    HubUnproved.code: Revoked,
}


class Line(Struct, frozen=True):
    """A way to one cloud. `ssl` None: without TLS, on this machine."""

    url: str
    http: httpx2.AsyncClient
    ssl: ssl.SSLContext | None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def post(self, path: str, body: bytes, *, token: str | None = None, answer_s: float = ANSWER_S) -> bytes:
        """Ask; what is answered, within `answer_s` seconds of silence at most.

        Raises CloudUnreachable, CloudRefused, TokenOver, Revoked, Superseded.
        """
        headers = {"Content-Type": MEDIA_TYPE}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        timeout = httpx2.Timeout(answer_s, connect=CONNECT_S)
        try:
            async with self.http.stream("POST", path, content=body, headers=headers, timeout=timeout) as response:
                answer = await _read(response)
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise CloudUnreachable(f"{self.url} does not answer: {why(error)}") from error
        if not response.is_success:
            raise refusal(response.status_code, answer)
        return answer


class Connector:
    """Opens lines. `transport` in the place of the network: for tests that have both ends in one process."""

    def __init__(self) -> None:
        self.transport: httpx2.AsyncBaseTransport | None = None

    async def open(self, url: str, pin: str | None) -> Line:
        """A line to the cloud at `url`, of which the caller is a context; raises CloudUnreachable, CloudPinWrong."""
        context = None
        if url.startswith("https:") and self.transport is None:
            context = await _context(url, pin)
        # Off the loop: the first of them reads files. No proxies: nothing between may see what goes there.
        http = await asyncio.to_thread(
            httpx2.AsyncClient,
            base_url=url,
            verify=False if context is None else context,
            transport=self.transport,
            trust_env=False,
        )
        return Line(url, http, context)


async def _context(url: str, pin: str | None) -> ssl.SSLContext:
    if pin is None:
        return await asyncio.to_thread(ssl.create_default_context)  # it reads the machine's certificates
    try:
        return await pinned(url, pin)
    except PinMismatch as error:
        raise CloudPinWrong from error
    except HubUnreachable as error:
        raise CloudUnreachable(str(error)) from error


async def _read(response: httpx2.Response) -> bytes:
    answer = bytearray()
    async for piece in response.aiter_bytes():
        answer += piece
        if len(answer) > MAX_ANSWER:
            raise CloudRefused(response.status_code, {"detail": "The cloud answered more than is read."})
    return bytes(answer)


def refusal(status: int, body: bytes) -> CloudUnreachable | CloudRefused | Revoked | Superseded:
    """What a refusal means, by its status and `code`."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        said = None
    problem: dict[str, Any] = said if isinstance(said, dict) else {}
    if (known := _BY_CODE.get(str(problem.get("code")))) is not None:
        return known()
    if status == 401:
        return TokenOver(status, problem)
    if status == 429 or status >= 500:
        detail = str(problem.get("detail") or f"The cloud answered {status}.")
        return CloudUnreachable(detail[:MAX_SAID])
    return CloudRefused(status, problem)


def decoded(answer: bytes, shape: type[T]) -> T:
    """What the cloud answered; raises CloudRefused."""
    try:
        return decode(answer, shape)
    except Invalid as error:
        raise CloudRefused(200, {"detail": "The cloud answered what is none of this protocol."}) from error
