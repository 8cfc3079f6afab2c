"""A sealed, ordered, replay-proof channel over the two ciphers a handshake ends with."""

from pairing.errors import ChannelBrokenError, PairingError
from pairing.messages import MAX_MESSAGE
from pairing.noise import CipherState
from pairing.wire import Kind, body_of, failure_in

_SEALED = bytes([Kind.SEALED])


class Channel:
    """Seals what goes out and opens what comes in, in order. After the first frame that does not open it is dead."""

    def __init__(self, send: CipherState, receive: CipherState, handshake_hash: bytes) -> None:
        self._send = send
        self._receive = receive
        self._broken = False
        self.handshake_hash = handshake_hash

    def seal(self, plaintext: bytes) -> bytes:
        """The SEALED frame of one message. Raises ChannelBrokenError, ValueError for more than MAX_MESSAGE octets."""
        if self._broken:
            raise ChannelBrokenError("after a failure")
        if len(plaintext) > MAX_MESSAGE:
            raise ValueError("message too long")
        return _SEALED + self._send.encrypt(plaintext)

    def open(self, frame: bytes) -> bytes:
        """The message in a SEALED frame. Raises ChannelBrokenError for a changed, replayed or misplaced one.

        A FAILURE frame, which the peer sends when it cannot go on sealed, raises the error it names.
        """
        if self._broken:
            raise ChannelBrokenError("after a failure")
        if frame[:1] == bytes([Kind.FAILURE]):
            self._broken = True
            raise failure_in(frame)
        try:
            return self._receive.decrypt(body_of(Kind.SEALED, frame))
        except PairingError as error:
            self._broken = True
            raise ChannelBrokenError("frame does not open") from error
