"""MQTT over WebSocket (MQTT 3.1.1 and 5, chapter 6): subprotocol `mqtt`, binary frames, packets cut anywhere."""

import asyncio
from typing import Any

from websockets.exceptions import InvalidHandshake
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from app.links.mqtt.client import Client
from app.links.mqtt.lane import Lane
from app.links.mqtt.limits import Limits

SUBPROTOCOL = Subprotocol("mqtt")
# A frame may hold several packets.
FRAME_BYTES = 1 << 20


class WebSocketDoor(asyncio.Protocol):
    """Stands between a socket and a client, and is a transport to the latter."""

    def __init__(self, client: Client, limits: Limits) -> None:
        self._client = client
        self._limits = limits
        self._socket: asyncio.Transport
        self._talk = ServerProtocol(
            subprotocols=[SUBPROTOCOL], select_subprotocol=_select, max_size=max(FRAME_BYTES, limits.packet + 5)
        )
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client counts from here on, so that the handshake is part of what it has so long for."""
        self._socket = transport  # type: ignore[assignment]  # uvloop's are none by inheritance
        self._client.connection_made(Lane(self, self._socket))

    def data_received(self, data: bytes) -> None:
        """Frames, or the handshake before them."""
        self._talk.receive_data(data)
        for event in self._talk.events_received():
            if isinstance(event, Request):
                self._greet(event)
            elif isinstance(event, Frame):
                self._read(event)
        self._flush()

    def eof_received(self) -> bool | None:
        """The other end writes no more: so do we."""
        self._talk.receive_eof()
        self._flush()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Its socket is closed."""
        self._client.connection_lost(exc)

    def pause_writing(self) -> None:
        """Hand on."""
        self._client.pause_writing()

    def resume_writing(self) -> None:
        """Hand on."""
        self._client.resume_writing()

    def write(self, octets: bytes) -> None:
        """For the client: in one frame."""
        if self._talk.state is State.OPEN:
            self._talk.send_binary(octets)
            self._flush()

    def end(self) -> None:
        """For the client: close after what is written."""
        if self._talk.state is State.OPEN:
            self._talk.send_close(CloseCode.NORMAL_CLOSURE)
            self._flush()
        self._socket.close()

    def _greet(self, request: Request) -> None:
        self._talk.send_response(self._talk.accept(request))

    def _read(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.BINARY, Opcode.CONT):
            if frame.data:
                self._client.data_received(bytes(frame.data))
        elif frame.opcode is Opcode.TEXT:
            # MQTT-6.0.0-1: nothing but binary.
            self._talk.fail(CloseCode.UNSUPPORTED_DATA)

    def _flush(self) -> None:
        for octets in self._talk.data_to_send():
            if octets and not self._socket.is_closing():
                self._socket.write(octets)
            elif not octets:
                self._ended = True
        if self._ended or self._talk.close_expected():
            self._socket.close()


def _select(protocol: ServerProtocol, offered: Any) -> Subprotocol:
    if SUBPROTOCOL not in offered:
        raise InvalidHandshake("the subprotocol is mqtt")
    return SUBPROTOCOL
