"""A phone: a process on its own host that speaks the companion API, as told by lines on standard input.

It claims the hub first. A line is `[method, path, body, query]`, with the method TEXT for what is no JSON; each is
answered by a line, `[status, body]`: 0 and the reason where the hub cannot be reached.
"""

import asyncio
import sys
from typing import Any

import msgspec

from app.client import ApiError, Client, HubUnreachable


async def answer(api: Client, line: bytes) -> tuple[int, Any]:
    """What the hub says to it."""
    method, path, body, query = msgspec.json.decode(line, type=tuple[str, str, Any, dict[str, str | int]])
    try:
        if method == "TEXT":
            return 200, await api.text(path, "text/plain")
        return 200, await api.request(method, path, body, params=query)
    except ApiError as error:
        return error.status, error.problem
    except HubUnreachable as error:
        return 0, str(error)


async def main(url: str, pin: str, code: str) -> None:
    """Until standard input ends."""
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Client(url, pin=pin) as api:
        anna = {"login": "anna", "password": "correct horse battery", "name": "Anna", "phone": "Anna's phone"}
        api.token = (await api.post("/api/hub/claim", {"code": code, **anna}))["session"]["access_token"]
        print("ready", flush=True)
        while line := await reader.readline():
            print(msgspec.json.encode(await answer(api, line)).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
