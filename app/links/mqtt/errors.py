"""What can go wrong between an MQTT client and the hub, by the codes both versions of the protocol have for it."""

from enum import Enum
from typing import ClassVar

from app.errors import DoorstepError


class Reason(Enum):
    """Why a client or a packet is refused: MQTT 5's reason code (2.4), and 3.1.1's return code of CONNACK (3.2.2.3)."""

    UNSPECIFIED = (0x80, 3)
    MALFORMED = (0x81, 3)
    PROTOCOL_ERROR = (0x82, 3)
    IMPLEMENTATION = (0x83, 3)
    VERSION = (0x84, 1)
    CLIENT_ID = (0x85, 2)
    CREDENTIALS = (0x86, 4)
    NOT_AUTHORIZED = (0x87, 5)
    UNAVAILABLE = (0x88, 3)
    BUSY = (0x89, 3)
    BANNED = (0x8A, 5)
    SHUTTING_DOWN = (0x8B, 3)
    AUTH_METHOD = (0x8C, 5)
    KEEP_ALIVE = (0x8D, 3)
    TAKEN_OVER = (0x8E, 3)
    TOPIC_FILTER = (0x8F, 3)
    TOPIC_NAME = (0x90, 3)
    PACKET_ID_IN_USE = (0x91, 3)
    PACKET_ID_UNKNOWN = (0x92, 3)
    RECEIVE_MAXIMUM = (0x93, 3)
    TOPIC_ALIAS = (0x94, 3)
    TOO_LARGE = (0x95, 3)
    RATE = (0x96, 3)
    QUOTA = (0x97, 3)
    ADMINISTRATIVE = (0x98, 5)
    PAYLOAD_FORMAT = (0x99, 3)
    RETAIN = (0x9A, 3)
    QOS = (0x9B, 3)
    SHARED = (0x9E, 3)
    CONNECTION_RATE = (0x9F, 3)
    SUBSCRIPTION_IDS = (0xA1, 3)
    WILDCARDS = (0xA2, 3)

    @property
    def code(self) -> int:
        """In MQTT 5."""
        return self.value[0]

    @property
    def return_code(self) -> int:
        """In a CONNACK of 3.1.1."""
        return self.value[1]


class MqttError(DoorstepError):
    """The MQTT link failed."""

    code = "mqtt_failed"
    reason: ClassVar[Reason] = Reason.UNSPECIFIED


class NotAdmitted(MqttError):
    """The client may not connect."""

    code = "mqtt_not_admitted"
    hint = "Compare the client id, the user name and the password with what the device was registered with."

    def __init__(self, why: Reason, detail: str = "") -> None:
        """`detail` goes to the log only."""
        super().__init__(detail)
        self.why = why


class Declined(MqttError):
    """The message was read and is not taken."""

    code = "mqtt_declined"

    def __init__(self, why: Reason = Reason.IMPLEMENTATION, detail: str = "") -> None:
        """In MQTT 5 `why` goes to the client; 3.1.1 has no way to say it (3.3.5)."""
        super().__init__(detail)
        self.why = why


class PacketError(MqttError):
    """What a client sent cannot be; its connection ends."""

    code = "mqtt_packet"
    reason = Reason.MALFORMED

    def __init__(self, detail: str = "", why: Reason | None = None) -> None:
        """`why` where the class does not say it."""
        super().__init__(detail)
        self.why = why or self.reason


class Malformed(PacketError):
    """A packet cannot be read (MQTT 5, 1.2)."""

    code = "mqtt_malformed"


class ProtocolBroken(PacketError):
    """A packet may not come here, or not with this in it (MQTT 5, 1.2)."""

    code = "mqtt_protocol"
    reason = Reason.PROTOCOL_ERROR


class BrokerUnusable(MqttError):
    """The broker that is set cannot be used."""

    code = "mqtt_broker_unusable"
    hint = "Check the setting mqtt_broker, its user name and its password."
