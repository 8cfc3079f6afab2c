"""What the parts of one virtual device share."""

import secrets
import time
from dataclasses import dataclass, field
from random import Random

from app.virtual.body import Body
from app.virtual.children import Children
from app.virtual.memory import Memory
from app.virtual.misbehaviour import Misbehaviour
from app.virtual.notices import Notices
from app.virtual.setup import WifiSetup
from pairing.device import Facts
from pairing.mdns import LOOPBACK, Interfaces
from pairing.messages import ASTRAY_AFTER, HEARTBEAT
from pairing.spake2plus import Record
from pairing.talk import Entropy
from pairing.token import TOKEN_LIFE


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a device stands, and its patience. `host` "" is every interface, with `interfaces` None.

    `retry_first` and `retry_most` bound the seconds between two attempts to reach the hub, `astray_after` is when it
    tries the one that stands by as well, `heartbeat` how often it pings (pairing/PROTOCOL.md, 9), `tick` how often its
    body lives. It keeps a token for `token_life` on a network.
    """

    host: str = LOOPBACK[0]
    port: int = 0
    interfaces: Interfaces = LOOPBACK
    announced: bool = True
    retry_first: float = 1.0
    retry_most: float = 60.0
    tick: float = 1.0
    astray_after: float = ASTRAY_AFTER
    heartbeat: float = HEARTBEAT
    token_life: float = TOKEN_LIFE


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """One device. `pin` is its label's and `record` what is kept of that, None where it has none.

    `children` are behind it where it is a gateway; `wifi` is its radio, where it hangs on no cable.
    """

    facts: Facts
    pin: str | None
    record: Record | None
    body: Body
    memory: Memory
    notices: Notices
    place: Place
    how: Misbehaviour
    children: Children | None = None
    wifi: WifiSetup | None = None
    entropy: Entropy = secrets.token_bytes
    chance: Random = field(default_factory=Random)

    def now_ms(self) -> int:
        """The device's clock, milliseconds since 1970."""
        return time.time_ns() // 1_000_000
