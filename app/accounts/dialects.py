"""The faces that keys are for: what their secrets look like, and how they are shown."""

import secrets
from enum import StrEnum
from typing import Final

from msgspec import Struct

from app.accounts.codes import new_token

SECRET_OCTETS: Final = 16


class Dialect(StrEnum):
    """A face that programs use keys at; a key opens that one alone."""

    COMPANION = "companion"
    TUYA = "tuya"
    BOTA = "bota"


class Style(Struct, frozen=True):
    """`prefix` of the secret (None: hexadecimal, without one).

    `bearer`: whoever sends the secret is let in. Otherwise it signs what is sent, so that it has to be read again: it
    is kept in the vault, under `secret_row`, besides its hash.
    """

    prefix: str | None
    bearer: bool = True


STYLES: Final[dict[Dialect, Style]] = {
    Dialect.COMPANION: Style("dsk"),
    # Clients take letters 8 to 24 of it for a key of AES-128 (specs/tuya/notes.md, 10).
    Dialect.TUYA: Style(None, bearer=False),
    Dialect.BOTA: Style("sk_live"),
}


def new_secret(dialect: Dialect) -> str:
    """A secret as the clients of a face expect one."""
    prefix = STYLES[dialect].prefix
    return secrets.token_hex(SECRET_OCTETS) if prefix is None else new_token(prefix)


def secret_row(key_id: str) -> str:
    """Where the vault keeps a key's secret."""
    return f"key/{key_id}/secret"
