"""A file encrypted under a passphrase: scrypt, then AES-256-GCM in chunks, so that it can be cut nowhere unnoticed.

Chunks follow the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015, section 4): nonce = prefix(7)
counter(4) last(1), the header as associated data of each. Header: magic(16) version(1) log2 N(1) r(1) p(1) salt(16)
prefix(7) check(16); scrypt gives the key (32) and the check, by which a wrong passphrase is told from damage.
"""

import hmac
import io
import secrets
import struct
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from app.store.errors import BackupDamaged, BackupUnusable, PassphraseWeak, PassphraseWrong

MAGIC: Final = b"doorstep-backup\n"
VERSION: Final = 1
CHUNK: Final = 64 * 1024
TAG: Final = 16
LEAST_PASSPHRASE: Final = 8
# 64 MiB and about 0.2 s: what a small hub can spare. A header that asks for more than 1 GiB is not one of ours.
LOG2_N, R, P = 16, 8, 1
MOST_LOG2_N, MOST_R, MOST_P = 20, 8, 4
_HEADER = struct.Struct(">16sBBBB16s7s16s")


def _derive(passphrase: str, salt: bytes, log2_n: int, r: int, p: int) -> tuple[AESGCM, bytes]:
    """The cipher and the check."""
    derived = Scrypt(salt=salt, length=48, n=1 << log2_n, r=r, p=p).derive(passphrase.encode())
    return AESGCM(derived[:32]), derived[32:]


def _nonce(prefix: bytes, counter: int, last: bool) -> bytes:
    return prefix + struct.pack(">IB", counter, last)


class EncryptingWriter(io.RawIOBase):
    """Writes to `out` what is written to it, encrypted. It is whole only after `finish`."""

    def __init__(self, out: BinaryIO, passphrase: str) -> None:
        if len(passphrase) < LEAST_PASSPHRASE:
            raise PassphraseWeak
        salt, self._prefix = secrets.token_bytes(16), secrets.token_bytes(7)
        self._aead, check = _derive(passphrase, salt, LOG2_N, R, P)
        self._header = _HEADER.pack(MAGIC, VERSION, LOG2_N, R, P, salt, self._prefix, check)
        self._out = out
        self._pending = bytearray()
        self._counter = 0
        out.write(self._header)

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        """Take `data`, a bytes-like object."""
        given = bytes(data)  # type: ignore[call-overload]
        self._pending += given
        while len(self._pending) > CHUNK:
            self._emit(bytes(self._pending[:CHUNK]), last=False)
            del self._pending[:CHUNK]
        return len(given)

    def finish(self) -> None:
        """Write the last chunk, which says that it is the last."""
        self._emit(bytes(self._pending), last=True)

    def _emit(self, chunk: bytes, *, last: bool) -> None:
        self._out.write(self._aead.encrypt(_nonce(self._prefix, self._counter, last), chunk, self._header))
        self._counter += 1


class DecryptingReader(io.RawIOBase):
    """Reads the plain content of `source`; raises PassphraseWrong, BackupUnusable or BackupDamaged."""

    def __init__(self, source: BinaryIO, passphrase: str) -> None:
        self._header = source.read(_HEADER.size)
        if len(self._header) < _HEADER.size or not self._header.startswith(MAGIC):
            raise BackupUnusable
        _, version, log2_n, r, p, salt, self._prefix, check = _HEADER.unpack(self._header)
        if version != VERSION or not (1 <= log2_n <= MOST_LOG2_N and 1 <= r <= MOST_R and 1 <= p <= MOST_P):
            raise BackupUnusable(f"backup format {version} is unknown")
        self._aead, expected = _derive(passphrase, salt, log2_n, r, p)
        if not hmac.compare_digest(check, expected):
            raise PassphraseWrong
        self._source = source
        self._ahead = source.read(CHUNK + TAG)
        self._plain = b""
        self._counter = 0
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        """Fill `buffer`; 0 is the end, which has then been proved to be the end."""
        view = memoryview(buffer)  # type: ignore[arg-type]
        while not self._plain and not self._ended:
            self._plain = self._next()
        count = min(len(view), len(self._plain))
        view[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count

    def _next(self) -> bytes:
        chunk, self._ahead = self._ahead, self._source.read(CHUNK + TAG)
        self._ended = not self._ahead
        try:
            plain = self._aead.decrypt(_nonce(self._prefix, self._counter, self._ended), chunk, self._header)
        except (InvalidTag, ValueError) as error:
            raise BackupDamaged from error
        self._counter += 1
        return plain
