"""What one client may take up; every table it can grow has its bound here."""

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds.

    `window`: unacknowledged messages each way. `waiting`: messages that wait for a connection, over it a sender is
    refused. `kept` messages of `kept_bytes` a session may leave on disk, `retained` a device; `sessions` a device may
    have, each for `session_life` at most once nobody is connected. `unread` packets wait for the disk before a
    connection is read no further, as it is not after `burst` messages faster than `rate` a second. `unsent` is what
    may wait in a connection before it counts as one that does not read; it is ended `patience` later. `strangers` are
    connections that are not admitted yet; CONNECT has `handshake` to come and to be answered.
    """

    packet: int = 1 << 20
    connect_packet: int = 1 << 16
    topic: int = 1024
    levels: int = 32
    properties: int = 64
    subscriptions: int = 64
    window: int = 64
    unread: int = 256
    waiting: int = 256
    kept: int = 256
    kept_bytes: int = 1 << 20
    sessions: int = 8
    retained: int = 64
    retained_bytes: int = 1 << 20
    aliases: int = 32
    rate: int = 100
    burst: int = 1000
    session_life: int = 30 * 24 * 3600
    keep_alive: int = 1200
    handshake: float = 10.0
    patience: float = 30.0
    connections: int = 5000
    connections_per_address: int = 1000
    strangers: int = 1024
    strangers_per_address: int = 256
    unsent: int = 256 * 1024
