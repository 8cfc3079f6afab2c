"""Carries a talk out over asyncio streams: the one place where handshakes meet sockets, clocks and people."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from pairing import wire
from pairing.errors import ConnectionLostError, PeerSilentError
from pairing.talk import Action, Answer, Commit, Compute, Confirm, Progress, Receive, Send, Talk

T = TypeVar("T")

OnProgress: TypeAlias = Callable[[Progress], Awaitable[None]]
OnConfirm: TypeAlias = Callable[[str], Awaitable[bool]]
OnCommit: TypeAlias = Callable[[Any], Awaitable[None]]

WRITE_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0


async def _no_progress(_: Progress) -> None:
    return None


async def _no_confirm(_: str) -> bool:
    return False


async def _no_commit(value: Any) -> None:
    raise NotImplementedError(f"nothing makes {type(value).__name__} durable here")


async def pump(
    talk: Talk[T],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    on_progress: OnProgress = _no_progress,
    on_confirm: OnConfirm = _no_confirm,
    on_commit: OnCommit = _no_commit,
    limit: int = wire.MAX_ACTIVATION_FRAME,
    keep_open: bool = False,
) -> T:
    """The talk's result. Raises what the talk raises (PairingError, or what `on_commit` raised).

    Whatever happens, cancellation too, the talk and the connection are closed afterwards; `keep_open` leaves the
    connection of a talk that succeeded to the caller. `limit` bounds the frames of the peer, in octets.
    """
    shell = _Shell(reader, writer, on_progress, on_confirm, on_commit, limit)
    done = False
    try:
        result = await _drive(talk, shell)
        done = True
        return result
    finally:
        talk.close()
        if not (done and keep_open):
            await close(writer)


async def _drive(talk: Talk[T], shell: "_Shell") -> T:
    answer: Answer = None
    failed: Exception | None = None
    while True:
        try:
            action = talk.throw(failed) if failed else talk.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        answer, failed = None, None
        try:
            answer = await shell.carry_out(action)
        except Exception as error:
            failed = error


@dataclass(frozen=True, slots=True)
class _Shell:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    on_progress: OnProgress
    on_confirm: OnConfirm
    on_commit: OnCommit
    limit: int

    async def carry_out(self, action: Action) -> Answer:
        match action:
            case Send(frame):
                await write_frame(self.writer, frame)
            case Receive(timeout, step):
                return await read_frame(self.reader, timeout, step=step, limit=self.limit)
            case Progress():
                await self.on_progress(action)
            case Confirm(code):
                return await self.on_confirm(code)
            case Commit(value):
                await self.on_commit(value)
                return True
            case Compute(work):
                await asyncio.to_thread(work)
        return None


async def write_frame(writer: asyncio.StreamWriter, frame: bytes) -> None:
    """Raises ConnectionLostError, PeerSilentError where the peer reads nothing."""
    if writer.transport.is_closing():  # uvloop raises RuntimeError where the peer has reset the connection
        raise ConnectionLostError("closed", step="send")
    try:
        async with asyncio.timeout(WRITE_TIMEOUT):
            writer.write(wire.pack(frame))
            await writer.drain()
    except TimeoutError as error:
        raise PeerSilentError("peer reads nothing", step="send") from error
    except OSError as error:
        raise ConnectionLostError(type(error).__name__) from error


async def read_frame(reader: asyncio.StreamReader, seconds: float, *, step: str, limit: int) -> bytes:
    """One whole frame within `seconds`. Raises PeerSilentError, ConnectionLostError, MalformedMessageError."""
    try:
        async with asyncio.timeout(seconds):
            length = wire.frame_length(await reader.readexactly(wire.LENGTH_SIZE), limit)
            return await reader.readexactly(length)
    except TimeoutError as error:
        raise PeerSilentError(f"nothing within {seconds:g} s", step=step) from error
    except (asyncio.IncompleteReadError, OSError) as error:
        raise ConnectionLostError(type(error).__name__, step=step) from error


async def close(writer: asyncio.StreamWriter) -> None:
    """Close the connection; what cannot be delivered within `CLOSE_TIMEOUT` seconds is dropped."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            with suppress(OSError):
                await writer.wait_closed()
    except TimeoutError:
        pass
    finally:
        writer.transport.abort()
