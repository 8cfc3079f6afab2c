"""The command's end of the admin socket."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from app.admin import address
from app.errors import DoorstepError, Unavailable
from app.store.folder import ADMIN_SOCKET

Line = dict[str, Any]


class NoHub(Unavailable):
    """No hub runs on this data folder."""

    code = "hub_not_running"
    hint = "Start it with `doorstep serve`, or name its folder with --data."


class AdminRefused(DoorstepError):
    """The running hub did not do it; `code` and `hint` are the hub's, `kinds` the categories it belongs to."""

    def __init__(self, code: str, message: str, hint: str, kinds: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.kinds = tuple(kinds)
        self.code, self.hint = code, hint  # type: ignore[misc]


def running(data: Path) -> bool:
    """Whether a hub answers on `data`'s admin socket."""
    try:
        _connect(data, 5.0).close()
    except NoHub:
        return False
    return True


def call(
    data: Path,
    verb: str,
    args: dict[str, object] | None = None,
    *,
    on_progress: Callable[[Any], None] = lambda _: None,
    timeout: float = 60.0,
) -> Any:
    """What the hub on `data` answers to `verb`. `timeout` is in seconds between two lines.

    Blocking: for the command, not for the loop. Raises `NoHub`, `AdminRefused`, `Unavailable` (silent, or died).
    """
    with _connect(data, timeout) as peer:
        for line in _conversation(peer, {"verb": verb, "args": args or {}}):
            if "progress" in line:
                on_progress(line["progress"])
            elif "error" in line:
                raise AdminRefused(**line["error"])
            else:
                return line["result"]
    raise Unavailable("The hub ended in the middle of its answer.")


def _connect(data: Path, timeout: float) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(timeout)
    try:
        folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
        try:
            peer.connect(address(folder))
        finally:
            os.close(folder)
    except PermissionError as error:
        peer.close()
        raise Unavailable(
            f"{data / ADMIN_SOCKET} belongs to another user; run this as the hub's user or as root."
        ) from error
    except OSError as error:
        peer.close()
        raise NoHub(f"No hub runs on {data}.") from error
    return peer


def _conversation(peer: socket.socket, request: dict[str, object]) -> Iterator[Line]:
    try:
        peer.sendall(msgspec.json.encode(request) + b"\n")
        with peer.makefile("rb") as stream:
            for line in stream:
                yield msgspec.json.decode(line, type=Line)
    except TimeoutError as error:
        raise Unavailable("The hub did not answer in time.") from error
    except (ConnectionError, msgspec.MsgspecError) as error:
        raise Unavailable("The hub ended in the middle of its answer.") from error
