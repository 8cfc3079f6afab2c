"""What the MQTT link asks of who knows devices, and what it offers them: Protocols and the structs they speak in.

A device may have several connections, each its own `session`; all go by the device's id, and no topic of one device is
ever seen by another.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from app.errors import DoorstepError
from app.links.mqtt.errors import Reason
from app.store.tx import Tx


class Offered(Struct, frozen=True):
    """A CONNECT, as far as it is about who connects. `level` is 4 (3.1.1) or 5; `keep_alive` in seconds, 0: none.

    `client_id` "" where the client leaves it to the server; `certificate` is the TLS client's, DER; its chain leads
    to an authority the endpoint was told to trust.
    """

    client_id: str
    username: str | None
    password: bytes | None
    certificate: bytes | None
    address: str
    level: int
    clean: bool
    keep_alive: int


class Principal(Struct, frozen=True):
    """Who is connected. `session`: a newer connection with the same one takes an older over; "" means the client id.

    `facts` are admission's own and come back untouched.
    """

    device_id: str
    session: str = ""
    facts: Any = None


class Admission(Protocol):
    """Says who may connect, and which topics are whose."""

    async def admit(self, offered: Offered) -> Principal:
        """Who this is; raises NotAdmitted (or another DoorstepError: the client is told to come back later)."""

    def may_publish(self, principal: Principal, topic: str) -> bool:
        """Whether it may publish there; asked once a topic and connection."""

    def may_subscribe(self, principal: Principal, topic_filter: str) -> bool:
        """Whether everything that matches the filter may be read by it."""

    def implicit(self, principal: Principal) -> Sequence[str]:
        """Filters that count as subscribed at QoS 0 while it is connected."""


class Properties(Struct, frozen=True, omit_defaults=True):
    """What MQTT 5 carries beside a message (3.3.2.3). `expiry` in seconds from when it was received or is sent."""

    utf8: bool = False
    expiry: int | None = None
    content_type: str = ""
    response_topic: str = ""
    correlation: bytes = b""
    user: tuple[tuple[str, str], ...] = ()


class Seen:
    """That a QoS 2 message has arrived: written with what it says, a repeat after a crash is known as one."""

    __slots__ = ("_write", "written")

    def __init__(self, write: Callable[[Tx], None]) -> None:
        self._write = write
        self.written = False

    def keep_in(self, tx: Tx) -> None:
        """Write it in `tx`. Where nobody does, the endpoint does in an act of its own, after the message's."""
        self._write(tx)
        self.written = True


class Message(Struct, frozen=True):
    """What a device published. `seen` is there for QoS 2."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties | None = None
    seen: Seen | None = None


class Connected(Struct, frozen=True):
    """How a device is connected. `resumed`: a session with subscriptions was there; `via`: tcp tls ws broker."""

    address: str
    level: int
    resumed: bool = False
    via: str = "tcp"
    keep_alive: int = 0


class Hearing(Protocol):
    """What is done with what devices say; for one device each is called in the order things happened."""

    def connected(self, principal: Principal, how: Connected) -> None:
        """A connection is accepted; from now on `MqttLink.publish` reaches it."""

    def subscribed(self, principal: Principal) -> None:
        """It listens to more than before, or otherwise, and SUBACK is written: `MqttLink.publish` reaches it there."""

    def disconnected(self, principal: Principal, why: str) -> None:
        """It has ended: client, lost, silent, taken_over, protocol, refused, stopping, or the `why` of `drop`."""

    async def published(self, principal: Principal, messages: Sequence[Message]) -> Sequence[DoorstepError | None]:
        """What one connection sent, in its order; returns when all that is to be kept of it is on disk.

        One outcome a message: None, or why it was not taken (a Declined's reason is told to a client of MQTT 5, any
        other error is 0x83; 3.1.1 is acknowledged, for it must not send the same again for ever). The next call for
        this connection comes after this one returned. Raising acknowledges none of them and ends the connection: the
        client sends them again.
        """


Fate = Literal["acked", "written", "lost"]
"""Acknowledged by the client; given to its connection at QoS 0, nobody will say more; ended without either."""


class MqttLink(Protocol):
    """The way down to devices, whichever broker they use."""

    def is_online(self, device_id: str) -> bool:
        """Whether it has a connection."""

    def publish(
        self,
        device_id: str,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        properties: Properties | None = None,
        on_fate: Callable[[Fate], None] | None = None,
    ) -> bool:
        """Send to every connection of the device that subscribes to `topic`, at the lower of both QoS; never waits.

        False when nothing took it: not connected, not subscribed, or too much waits for it. It ends with the
        connection: for who has it on disk and sends it again by itself. `on_fate` is told once.
        """

    async def keep(
        self, device_id: str, topic: str, payload: bytes, *, qos: int = 1, properties: Properties | None = None
    ) -> int:
        """Send to every session of the device that subscribes to `topic`, also to those nobody is connected to.

        Returns how many took it, when it is on disk for those that outlive their connections: they have it, after
        restarts too, until it is acknowledged or expires. Raises StoreError.
        """

    def drop(self, device_id: str, why: Reason = Reason.ADMINISTRATIVE) -> None:
        """End its connections; what they said before is still taken."""

    async def forget(self, device_id: str) -> None:
        """End its connections and sessions and what is retained of it; returns when that is on disk."""


class Addressing(Protocol):
    """Whose a topic is: with a broker between, that is all there is to tell who speaks."""

    def filters(self) -> Sequence[str]:
        """Everything devices publish."""

    def speaker(self, topic: str) -> Principal | None:
        """Who alone may publish on `topic`, as far as the broker keeps to its access rules; None: nobody of ours."""
