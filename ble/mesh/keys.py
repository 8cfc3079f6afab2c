"""Network and application keys, with both keys of a key refresh (Mesh Protocol 1.1, 3.9.6 and 3.11.4)."""

from functools import lru_cache

from msgspec import Struct

from ble.mesh import crypto


class Material(Struct, frozen=True):
    """What a network key turns into on the wire."""

    nid: int
    encryption: bytes
    privacy: bytes

    def __repr__(self) -> str:
        return f"Material(nid={self.nid})"


@lru_cache(maxsize=128)
def flooding(net_key: bytes) -> Material:
    """The keys that every node of the network shares."""
    return Material(*crypto.k2(net_key, b"\x00"))


@lru_cache(maxsize=128)
def network_id(net_key: bytes) -> bytes:
    """Eight octets that name the network in public."""
    return crypto.k3(net_key)


@lru_cache(maxsize=128)
def aid(app_key: bytes) -> int:
    """The six bits that name an application key in a message."""
    return crypto.k4(app_key)


class _Refreshed(Struct, kw_only=True):
    index: int
    key: bytes
    new_key: bytes | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(index={self.index})"

    @property
    def receiving(self) -> tuple[bytes, ...]:
        """The keys that are listened to: both, while a key refresh lasts."""
        return (self.key,) if self.new_key is None else (self.new_key, self.key)


class NetKey(_Refreshed, kw_only=True):
    """A subnet's key. `phase` is 0 (no refresh), 1 (new key handed out) or 2 (new key in use)."""

    phase: int = 0

    @property
    def sending(self) -> bytes:
        return self.new_key if self.phase == 2 and self.new_key else self.key

    def begin(self, new_key: bytes) -> None:
        """Phase 1: both keys are heard, the old one is used."""
        self.new_key, self.phase = new_key, 1

    def use_new(self) -> None:
        """Phase 2: the new key is used, both are heard. Does nothing outside phase 1."""
        if self.phase == 1:
            self.phase = 2

    def revoke_old(self) -> None:
        """Phase 3: the old key is gone, and the refresh over. Does nothing where there is none."""
        if self.new_key:
            self.key, self.new_key, self.phase = self.new_key, None, 0


class AppKey(_Refreshed, kw_only=True):
    """An application's key, bound to the network key of `net_index`, whose phase it follows."""

    net_index: int

    def sending(self, phase: int) -> bytes:
        return self.new_key if phase == 2 and self.new_key else self.key

    def revoke_old(self) -> None:
        if self.new_key:
            self.key, self.new_key = self.new_key, None
