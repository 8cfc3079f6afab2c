"""Sessions of clients, and what a request turned out to be, as structs."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from app.policy import Actor

# Where this API lives; `/v1/` without a point is another's.
PREFIXES: Final = ("/v1.", "/v2.")
# What the documentation names; clients ask for a new one a minute before.
ACCESS_S: Final = 7_200
MS: Final = 1_000
# Calls that were on their way with the old token when it was refreshed are still answered.
GRACE_MS: Final = 60_000
# A client that nobody has started for so long asks for a token again, which costs it one call.
UNUSED_MS: Final = 60 * 24 * 3600 * MS


class Session(Struct, frozen=True, gc=False):
    """What one token call gave out, as hashes. `previous` is the access token before the last refresh. Times in ms."""

    id: str
    key_id: str
    access_hash: bytes
    access_until: int
    refresh_hash: bytes
    previous_hash: bytes | None
    previous_until: int
    used_at: int


class Given(Struct, frozen=True):
    """A session's tokens as clients are told them: some read `expire_time`, some `expire` (seconds)."""

    access_token: str
    refresh_token: str
    expire_time: int
    expire: int
    uid: str


class Asked(Struct, frozen=True):
    """A request that was proved: whom its key acts for, its query decoded, its body as it came, where it came from."""

    actor: Actor
    query: Mapping[str, str]
    body: bytes
    address: str
    request_id: str
