"""The platform a home is shown to, which of its devices it has, and what it asked; as kept and as shown."""

from enum import IntEnum, StrEnum
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from app.clock import Time
from app.devices.credential_model import Secret, WireId
from app.errors import Conflict, Invalid, NotFound, Unavailable

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
# A command that the platform gives waits as long as its own synchronous ones do (1.4.4.1.1).
EXPIRES_AFTER_S: Final = 20.0


class NewUpstream(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a home is to be shown, and as which gateway.

    `url` is mqtt://host:port or mqtts://host:port; `device_id` and `secret` are those the platform gave the gateway
    when it was registered there. `ca`: certificates (PEM) that the platform's leads to, where no public one does.
    """

    url: Annotated[str, Meta(min_length=1, max_length=256, examples=["mqtts://iot.example:8883"])]
    device_id: WireId
    secret: Secret
    ca: Annotated[str, Meta(max_length=65_536)] | None = None

    def __repr__(self) -> str:
        return f"NewUpstream(url={self.url!r}, device_id={self.device_id!r})"


class Upstream(Struct, frozen=True, gc=False):
    """As kept; the secret is in the vault. `device_id` is the gateway's at the platform. Times in ms."""

    home_id: str
    url: str
    device_id: str
    ca: str | None
    account_id: str
    list_version: int
    attached_at: int
    contact_at: int | None


class Stage(StrEnum):
    """Where a device stands with the platform."""

    WANTED = "wanted"  # to be added
    THERE = "there"
    REFUSED = "refused"  # the platform would not have it; asked again at the next connection
    LEAVING = "leaving"  # it has left the home, and is to be deleted
    REMOVED = "removed"  # the platform let it go; added again when it is paired anew


class SubDevice(Struct, frozen=True, gc=False):
    """A device on the platform's list, or on its way there or from there. `owner_epoch` is of one that was removed."""

    remote_id: str
    device_id: str
    stage: Stage
    why: str = ""
    owner_epoch: int = 0


class State(StrEnum):
    """How the connection is."""

    CONNECTED = "connected"
    CONNECTING = "connecting"
    WAITING = "waiting"  # for the next try
    PAUSED = "paused"  # until somebody does what `hint` says


class Cause(StrEnum):
    """Why there is no connection."""

    UNREACHABLE = "unreachable"
    TLS = "tls"
    UNTRUSTED = "untrusted"
    CREDENTIALS = "credentials"
    FROZEN = "frozen"
    CLIENT_ID = "client_id"
    BUSY = "busy"
    LOST = "lost"
    SILENT = "silent"
    STORAGE = "storage"
    RIGHT_LOST = "right_lost"


HINTS: Final = {
    Cause.UNREACHABLE: "Check the address, and that the platform can be reached from the hub's network.",
    Cause.TLS: "What answers there does not speak TLS: check the port, or say mqtt:// where it is meant so.",
    Cause.UNTRUSTED: "The platform's certificate leads to nobody the hub trusts: attach it with its CA.",
    Cause.CREDENTIALS: "Compare the gateway's device id and secret with the platform's, then attach it again.",
    Cause.FROZEN: "The platform keeps the gateway out: unfreeze it there.",
    Cause.CLIENT_ID: "The platform does not take the client id: is it one that speaks IoTDA?",
    Cause.BUSY: "The platform takes no connections now; the hub tries again.",
    Cause.LOST: "The connection ended; the hub tries again.",
    Cause.SILENT: "The platform did not answer in time; the hub tries again.",
    Cause.STORAGE: "The hub's disk does not take what the platform says: run `doorstep doctor`.",
    Cause.RIGHT_LOST: "Who attached it owns the home no more: its owner attaches it again, or detaches it.",
}


class Status(Struct, frozen=True, gc=False):
    """How the connection of one home is now. `next_try_at` in ms."""

    state: State
    cause: Cause | None = None
    next_try_at: int | None = None


class Counts(Struct, frozen=True):
    """How many devices stand where."""

    there: int = 0
    wanted: int = 0
    refused: int = 0
    leaving: int = 0
    removed: int = 0


class Apart(Struct, frozen=True):
    """A device of the home that the platform does not have: `refused`, or `removed` by it. `why` in its words."""

    device_id: str
    remote_id: str
    stage: Stage
    why: str


class UpstreamView(Struct, frozen=True):
    """A home's upstream.

    `cause` is null while it is connected; `hint` is the next step. `list_version` is that of the platform's list of
    sub-devices as last heard. `apart` are the first hundred devices that the platform does not have and will not get.
    """

    url: str
    device_id: str
    has_ca: bool
    account_id: str
    attached_at: Time
    state: State
    cause: Cause | None
    hint: str
    next_try_at: Time | None
    last_contact_at: Time | None
    list_version: int
    devices: Counts
    apart: list[Apart]


class Kind(StrEnum):
    """What a platform asks of a device."""

    COMMAND = "command"
    SET = "set"
    GET = "get"


class Result(IntEnum):
    """Result codes of answers; 0 is the protocol's, it leaves the others to the device."""

    OK = 0
    FAILED = 1  # the device would not, or could not
    REFUSED = 2
    UNKNOWN = 3  # no such device, service or command
    UNFIT = 4  # a value the product's model does not have
    NO_ANSWER = 5  # the device did not answer in time
    BUSY = 6


class Refusal(Struct, frozen=True, gc=False):
    """Why nothing was done."""

    result: Result
    text: str


class Asked(Struct, frozen=True, gc=False, omit_defaults=True):
    """What became of a request here: commands of ours as (service, id), or why there are none."""

    commands: tuple[tuple[str, str], ...] = ()
    refusal: Refusal | None = None


class Request(Struct, frozen=True, gc=False):
    """What the platform asked, as kept. Time in ms."""

    home_id: str
    request_id: str
    kind: Kind
    device_id: str
    asked: Asked
    at: int
    answered_at: int | None = None


class Reply(Struct, frozen=True, gc=False):
    """What goes back, under the request's id."""

    kind: Kind
    request_id: str
    payload: Struct


class NoUpstream(NotFound):
    """The home is shown nowhere else."""

    code = "no_upstream"
    hint = "Attach it to a platform: doorstep upstream attach URL GATEWAY."


class AtACloud(Conflict):
    """A cloud is nobody's gateway."""

    code = "upstream_at_a_cloud"
    hint = "Attach it at a hub of the home."


class CaUnusable(Invalid):
    """`ca` holds no certificate that can be read."""

    code = "upstream_ca_unusable"
    hint = "Give the PEM text, with its BEGIN CERTIFICATE and END CERTIFICATE lines."


class Silent(Unavailable):
    """The platform does not answer."""

    code = "upstream_silent"


class RightLost(Conflict):
    """Who attached the upstream may not any more."""

    code = "upstream_right_lost"
    hint = HINTS[Cause.RIGHT_LOST]


class Where(Struct, frozen=True, gc=False):
    """A url, taken apart."""

    host: str
    port: int
    tls: bool

    problem: ClassVar[str] = "url: mqtt://host:port or mqtts://host:port, and nothing else"

    @classmethod
    def of(cls, url: str) -> "Where":
        """Raises Invalid."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Invalid(cls.problem) from None
        plain = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password)
        if parts.scheme not in PORTS or not parts.hostname or not plain or not url.isascii() or port == 0:
            raise Invalid(cls.problem)
        return cls(parts.hostname, port or PORTS[parts.scheme], parts.scheme == "mqtts")


encode_asked = msgspec.json.Encoder().encode
decode_asked: Any = msgspec.json.Decoder(Asked).decode
