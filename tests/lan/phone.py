"""A phone: a process on its own host that speaks the companion API, as told by lines on standard input.

It claims the hub first. A line is `[method, path, body, query]`; each is answered by a line, `[status, body]`: 0 and
the reason where the hub cannot be reached. The method TEXT reads what is no JSON; FOLLOW sees a pairing session to its
end, and agrees to each code at once.
"""

import asyncio
import sys
from typing import Any

import msgspec

from app.client import ApiError, Client, HubUnreachable
from app.commands.following import Session, follow, waiting


async def answer(api: Client, line: bytes) -> tuple[int, Any]:
    """What the hub says to it."""
    method, path, body, query = msgspec.json.decode(line, type=tuple[str, str, Any, dict[str, str | int]])
    try:
        if method == "FOLLOW":
            return 200, await to_the_end(api, path)
        if method == "TEXT":
            return 200, await api.text(path, "text/plain")
        return 200, await api.request(method, path, body, params=query)
    except ApiError as error:
        return error.status, error.problem
    except HubUnreachable as error:
        return 0, str(error)


async def to_the_end(api: Client, path: str) -> Session:
    """The session once it has ended, told by its events; where a code is to be compared, the person says yes."""
    session: Session = {}
    agreed: set[int] = set()
    async for session, _ in follow(api, await api.get(path)):
        for asking in waiting(session):
            if asking["state"] == "confirming" and asking["number"] not in agreed:
                agreed.add(asking["number"])
                await api.post(f"{path}/confirm", {"accepted": True, "attempt": asking["number"]})
    return session


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
