"""Carries calls over HTTP to a device that is its setup network's gateway."""

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import Final, Self

import httpx2

from pairing.errors import ConnectionLostError, MalformedMessageError, PeerSilentError
from pairing.protocomm.calls import MAX_BODY, Call, EndpointRefusedError

ADDRESS: Final = "192.168.4.1"
PORT: Final = 80

TIMEOUT: Final = httpx2.Timeout(10.0, connect=5.0, read=30.0)
"""A device scans all channels before it answers a scan."""

_HEADERS: Final = {"Content-Type": "application/octet-stream", "Accept-Encoding": "identity"}


class HttpCarrier:
    """`async with HttpCarrier() as carrier: await carrier.ask(call)`. It keeps the session cookie a device gives it.

    `interface`: the one to go out by, for a hub whose own LAN may use the same addresses. No proxy, no redirect, no
    compression, no more than `MAX_BODY` octets.
    """

    def __init__(self, host: str = ADDRESS, port: int = PORT, *, interface: str = "") -> None:
        self._url = f"http://{host}:{port}"
        self._interface = interface
        self._stack = AsyncExitStack()
        self._http: httpx2.AsyncClient

    async def __aenter__(self) -> Self:
        # Off the loop: a client reads the machine's certificates, whether it is to use them or not.
        self._http = await self._stack.enter_async_context(await asyncio.to_thread(self._client))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _client(self) -> httpx2.AsyncClient:
        options = [(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode())] if self._interface else []
        transport = httpx2.AsyncHTTPTransport(
            trust_env=False, limits=httpx2.Limits(max_connections=1), socket_options=options
        )
        return httpx2.AsyncClient(
            base_url=self._url, headers=_HEADERS, timeout=TIMEOUT, transport=transport, trust_env=False
        )

    async def ask(self, call: Call) -> bytes:
        """What the endpoint answers.

        Raises EndpointRefusedError, PeerSilentError, ConnectionLostError, MalformedMessageError.
        """
        try:
            async with self._http.stream("POST", f"/{call.endpoint}", content=call.body) as response:
                if response.status_code != httpx2.codes.OK:
                    raise EndpointRefusedError(f"HTTP {response.status_code}", step=call.step)
                return await _body(response, call.step)
        except httpx2.TimeoutException as error:
            raise PeerSilentError(type(error).__name__, step=call.step) from error
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise ConnectionLostError(type(error).__name__, step=call.step) from error


async def _body(response: httpx2.Response, step: str) -> bytes:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY:
            raise MalformedMessageError("answer too long", step=step)
    return body
