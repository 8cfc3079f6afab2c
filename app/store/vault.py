"""Secrets at rest: AES-256-GCM, each bound to the row it stands in, under a key outside the database."""

import hmac
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.store.errors import VaultKeyWrong, VaultMismatch
from app.store.folder import write_private
from app.store.tx import Reader, Tx

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = b"\x01"
_MAC = b"Doorstep vault mac 1"


class Vault:
    """Seals and unseals. `row` names where the secret stands: moved to another row it does not open."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._mac_key = HKDF(SHA256(), KEY_BYTES, salt=None, info=_MAC).derive(key)
        # Asked before a secret is kept, of the row; what it raises keeps it out.
        self.on_keep: Callable[[str], None] | None = None

    @classmethod
    def at(cls, path: Path) -> "Vault":
        """The vault whose key is the file at `path`, made (0600, durable) when there is none."""
        if not path.exists():
            write_private(path, secrets.token_bytes(KEY_BYTES))
        return cls.of(path.read_bytes())

    @classmethod
    def of(cls, key: bytes) -> "Vault":
        """The vault of `key`; raises VaultKeyWrong when it cannot be one."""
        if len(key) != KEY_BYTES:
            raise VaultKeyWrong(f"a vault key has {KEY_BYTES} bytes, this one {len(key)}")
        return cls(key)

    def seal(self, secret: bytes, row: str) -> bytes:
        """version(1) nonce(12) ciphertext tag(16)."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return VERSION + nonce + self._aead.encrypt(nonce, secret, VERSION + row.encode())

    def unseal(self, sealed: bytes, row: str) -> bytes:
        """The secret; raises VaultMismatch when the key, the row or a bit is not the one it was sealed with."""
        nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return self._aead.decrypt(nonce, body, sealed[:1] + row.encode())
        except (InvalidTag, ValueError) as error:
            raise VaultMismatch("a stored secret does not open with this vault key") from error

    def mac(self, data: bytes) -> bytes:
        """What `data` is recognised by (32 octets), and guessed by nobody without the key, however few it may be of."""
        return hmac.digest(self._mac_key, data, "sha256")

    def keep(self, tx: Tx, row: str, secret: bytes) -> None:
        """Store `secret` under `row` in the vault's own table."""
        if self.on_keep is not None:
            self.on_keep(row)
        tx.run("INSERT OR REPLACE INTO secrets(row, sealed) VALUES(?,?)", (row, self.seal(secret, row)))

    def fetch(self, reader: Reader, row: str) -> bytes | None:
        """The secret kept under `row`, or None."""
        found = reader.one("SELECT sealed FROM secrets WHERE row=?", (row,))
        return None if found is None else self.unseal(found[0], row)

    def drop(self, tx: Tx, row: str) -> bool:
        """Remove the secret kept under `row`; whether there was one."""
        return tx.run("DELETE FROM secrets WHERE row=?", (row,)) > 0

    def forget(self, tx: Tx, prefix: str) -> None:
        """Remove every secret whose row starts with `prefix`."""
        tx.run("DELETE FROM secrets WHERE substr(row, 1, ?)=?", (len(prefix), prefix))
