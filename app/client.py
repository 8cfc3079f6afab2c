"""A small client of the companion API, for the command and the demo. It trusts a hub by its pinned certificate."""

import asyncio
import contextlib
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import httpx2
import msgspec

from app.errors import DoorstepError, Unavailable
from app.tls import pin_of

TIMEOUT: Final = httpx2.Timeout(30.0, connect=5.0)


class ApiError(DoorstepError):
    """The hub refused; `status` is HTTP's, `code`, `step` and `hint` the hub's own."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or f"The hub answered {status}."))
        self.status = status
        self.code = str(problem.get("code") or f"http_{status}")  # type: ignore[misc]
        self.hint = str(problem.get("hint") or "")  # type: ignore[misc]
        self.step = str(problem.get("step") or "")
        self.problem = dict(problem)


class HubUnreachable(Unavailable):
    """Nothing answers at the hub's address."""

    code = "hub_unreachable"
    hint = "Is it running (`doorstep serve`), and is the address right?"


class PinMismatch(DoorstepError):
    """The hub shows another certificate than the pinned one: this may be somebody else's machine."""

    code = "pin_mismatch"
    hint = "Compare with what the hub prints when it starts; give that as --pin if you trust the change."


class Client:
    """`async with Client(url, token=..., pin=...) as api: await api.get("/api/homes")`.

    `pin`: SHA-256 of the hub's certificate in hex, or of its public key as base64. Without one, an `https` URL is
    verified as any web server's is. Answers are decoded JSON; a refusal raises `ApiError`, silence `HubUnreachable`.
    """

    def __init__(self, url: str, *, token: str | None = None, pin: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self._pin = pin
        self._http: httpx2.AsyncClient

    async def __aenter__(self) -> Self:
        verify: ssl.SSLContext | bool = self.url.startswith("https:")
        if self._pin and verify:
            verify = await pinned(self.url, self._pin)
        # Off the loop: it may read the machine's certificates. No proxies: the hub is on this network.
        self._http = await asyncio.to_thread(
            httpx2.AsyncClient, base_url=self.url, verify=verify, timeout=TIMEOUT, trust_env=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(self, path: str, **query: str | int) -> Any:
        """Read."""
        return await self.request("GET", path, params=query)

    async def post(self, path: str, body: object = None, **query: str | int) -> Any:
        """Create or do, at most once: an answer lost on the way is asked for again under the same Idempotency-Key."""
        headers = {"Idempotency-Key": uuid4().hex}
        try:
            return await self.request("POST", path, body, headers=headers, params=query)
        except HubUnreachable:
            return await self.request("POST", path, body, headers=headers, params=query)

    async def upload(self, path: str, octets: AsyncIterator[bytes], **query: str) -> Any:
        """Create from a file, sent as it is read."""
        headers = {"Content-Type": "application/octet-stream"}
        response = await self._send("POST", path, content=octets, params=query, headers=headers)
        return _decoded(response.status_code, response.content)

    async def put(self, path: str, body: object = None) -> Any:
        """Replace."""
        return await self.request("PUT", path, body)

    async def patch(self, path: str, body: object) -> Any:
        """Change."""
        return await self.request("PATCH", path, body)

    async def delete(self, path: str, **query: str | int) -> Any:
        """Remove."""
        return await self.request("DELETE", path, params=query)

    async def pages(self, path: str, **query: str | int) -> AsyncIterator[Any]:
        """Every item of a list, over all its pages."""
        more: dict[str, str | int] = {}
        while True:
            page = await self.get(path, **query, **more)
            for item in page["items"]:
                yield item
            if not page.get("next"):
                return
            more = {"cursor": page["next"]}

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> Any:
        """One request; what it answers, decoded (None when empty)."""
        content = None if body is None else msgspec.json.encode(body)
        response = await self._send(method, path, content=content, params=params, headers=headers)
        return _decoded(response.status_code, response.content)

    async def text(self, path: str, accept: str = "*/*") -> str:
        """Read what is no JSON."""
        response = await self._send("GET", path, headers={"Accept": accept})
        if response.status_code >= 400:
            _decoded(response.status_code, response.content)
        return response.text

    async def _send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx2.Response:
        headers = self._headers(headers, more.get("content") is not None)
        try:
            return await self._http.request(method, path, headers=headers, **more)
        except httpx2.TransportError as error:
            raise HubUnreachable(f"{self.url} does not answer: {why(error)}") from error

    @contextlib.asynccontextmanager
    async def events(
        self, path: str = "/api/events", after: str | None = None
    ) -> AsyncIterator[AsyncIterator[httpx2.ServerSentEvent]]:
        """The events of a stream, from now or after the event with id `after`; ends when the hub closes it."""
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        timeout = httpx2.Timeout(5.0, read=60.0)  # the hub sends a heartbeat well within that
        try:
            async with self._http.stream("GET", path, headers=self._headers(headers), timeout=timeout) as response:
                if response.status_code != 200:
                    _decoded(response.status_code, await response.aread())
                yield aiter(httpx2.EventSource(response))
        except httpx2.TransportError as error:
            raise HubUnreachable(f"{self.url} ended the stream: {why(error)}") from error

    def _headers(self, more: Mapping[str, str] | None, has_body: bool = False) -> dict[str, str]:
        headers = dict(more or {})
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if has_body:
            headers.setdefault("Content-Type", "application/json")
        return headers


def why(error: BaseException) -> str:
    """What a library says went wrong, or at least its name for it."""
    return str(error) or type(error).__name__


def _decoded(status: int, content: bytes) -> Any:
    try:
        body = msgspec.json.decode(content) if content else None
    except msgspec.DecodeError:
        body = None
    if status >= 400:
        raise ApiError(status, body if isinstance(body, dict) else {})
    return body


async def pinned(url: str, pin: str) -> ssl.SSLContext:
    """A context that trusts exactly the certificate shown at `url` now, after it was compared with `pin`.

    Raises PinMismatch, HubUnreachable.
    """
    where = httpx2.URL(url)
    der = await _shown(where.host, where.port or 443)
    wanted = pin.removeprefix("sha256/").replace(":", "").strip()
    if wanted.lower() != sha256(der).hexdigest() and wanted != pin_of(der):
        raise PinMismatch
    body = b64encode(der).decode()
    pem = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    context = ssl.create_default_context(cadata=pem)
    context.check_hostname = False  # the pin says more than a name: a hub has many names and changes them
    return context


async def _shown(host: str, port: int) -> bytes:
    look = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    look.check_hostname = False
    look.verify_mode = ssl.CERT_NONE  # nothing is sent over this connection; it only fetches what to compare
    try:
        async with asyncio.timeout(10):
            _, writer = await asyncio.open_connection(host, port, ssl=look)
    except (OSError, TimeoutError) as error:
        raise HubUnreachable(f"https://{host}:{port} does not answer: {why(error)}") from error
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with contextlib.suppress(OSError):  # it has been read; how the hub says goodbye does not matter
        await writer.wait_closed()
    return bytes(der)
