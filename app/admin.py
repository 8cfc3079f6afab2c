"""The running hub's admin socket: how the command on this machine asks the hub instead of opening its files.

A Unix socket with mode 0600 in the data folder, answered only to the hub's own user and root. One request a
connection, as JSON lines: `{"verb", "args"}`; then any number of `{"progress"}`, then `{"result"}` or
`{"error": {code, message, hint, kinds}}`.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from app.errors import DoorstepError, Invalid, NotFound, Unavailable
from app.store.folder import ADMIN_SOCKET, FILE_MODE

REQUEST_BYTES: Final = 1 << 16
REQUEST_SECONDS: Final = 10.0
AT_ONCE: Final = 8
UNREAD_BYTES: Final = 1 << 16

log = structlog.stdlib.get_logger("doorstep.admin")

# May be called as often as one likes: what the other end does not read in time is left out.
Progress = Callable[[object], None]
Handler = Callable[[Mapping[str, Any], Progress], Awaitable[object]]


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """What the command asks."""

    verb: str
    args: dict[str, Any] = {}


class Admin:
    """The hub's end. `register` verbs, then `start`; the socket is there from `start` to `stop`."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._verbs: dict[str, Handler] = {}
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def register(self, name: str, handler: Handler) -> None:
        """Answer `name` with what `handler(args, progress)` returns (anything msgspec encodes) or raises."""
        if name in self._verbs:
            raise ValueError(f"admin verb {name} is registered twice")
        self._verbs[name] = handler

    async def start(self) -> None:
        """Listen. The caller holds the data folder's lock, so a socket left behind by a crash is nobody's."""
        listening = await asyncio.to_thread(_listen, self._data)
        self._server = await asyncio.start_unix_server(self._connected, sock=listening, limit=REQUEST_BYTES)

    async def stop(self) -> None:
        """Stop listening; requests in progress are cancelled."""
        if self._server is None:
            return
        for _ in range(3):  # a connection just accepted takes so many rounds of the loop until closing may find it
            await asyncio.sleep(0)
        self._server.close()
        for task, writer in self._open.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*self._open, return_exceptions=True)
        await asyncio.to_thread((self._data / ADMIN_SOCKET).unlink, missing_ok=True)
        self._server = None

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._open[task] = writer
        task.add_done_callback(lambda done: self._open.pop(done, None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _allowed(writer.get_extra_info("socket")):
                await self._converse(reader, writer)
        except ConnectionError:
            log.debug("admin request ended early")
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(kind: str, content: object) -> None:
            writer.write(msgspec.json.encode({kind: content}) + b"\n")
            await writer.drain()

        def progress(content: object) -> None:
            if writer.transport.get_write_buffer_size() < UNREAD_BYTES:
                writer.write(msgspec.json.encode({"progress": content}) + b"\n")

        try:
            if len(self._open) > AT_ONCE:
                raise Unavailable("The hub is answering as many admin requests as it takes at once.")
            request = await _request(reader)
            if request.verb not in self._verbs:
                raise NotFound(f"This hub has no admin verb {request.verb!r}.")
            result = await self._verbs[request.verb](request.args, progress)
        except DoorstepError as error:
            await say("error", _told(error))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("admin verb failed")
            await say("error", {**_told(DoorstepError("The hub failed; its log says why.")), "code": "internal"})
        else:
            await say("result", result)


def _told(error: DoorstepError) -> dict[str, object]:
    """`kinds` are the codes of what it is a kind of, nearest first: the command knows categories, not every error."""
    kinds = [kind.code for kind in type(error).__mro__ if issubclass(kind, DoorstepError)]
    return {"code": error.code, "message": str(error), "hint": error.hint, "kinds": kinds}


async def _request(reader: asyncio.StreamReader) -> Request:
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            line = await reader.readuntil(b"\n")
        return msgspec.json.decode(line, type=Request)
    except TimeoutError:
        raise Invalid("No whole request came in time.") from None
    except asyncio.IncompleteReadError:
        raise ConnectionAbortedError from None
    except asyncio.LimitOverrunError:
        raise Invalid(f"A request is one line of at most {REQUEST_BYTES} bytes.") from None
    except msgspec.MsgspecError as error:
        raise Invalid(f"The request is not understood: {error}") from None


def _peer_uid(peer: socket.socket) -> int:
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


def _allowed(peer: socket.socket) -> bool:
    """The mode keeps others out already; this holds where a folder's mode was loosened."""
    uid = _peer_uid(peer)
    if uid in (0, os.geteuid()):
        return True
    log.warning("admin socket refused a stranger", uid=uid)
    return False


def _listen(data: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        path = data / ADMIN_SOCKET
        path.unlink(missing_ok=True)
        listening.bind(address(folder))
        path.chmod(FILE_MODE)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    finally:
        os.close(folder)
    return listening


def address(folder: int) -> str:
    """The socket's address by its folder's descriptor: a path may be longer than the 107 bytes a Unix address holds."""
    return f"/proc/self/fd/{folder}/{ADMIN_SOCKET}"
