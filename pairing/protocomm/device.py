"""The device's side of a provisioning: answers each endpoint's calls, one session at a time."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from pairing.ap.setup import SeenNetwork, Status
from pairing.errors import MalformedMessageError, PairingError, ProofFailedError, TooManyTriesError
from pairing.protocomm import calls, messages, schema, security1, security2, srp
from pairing.protocomm.calls import Cipher, EndpointRefusedError
from pairing.protocomm.client import Proof
from pairing.protocomm.messages import Version
from pairing.protocomm.security1 import Answers
from pairing.talk import Entropy
from pairing.wifi import Provisioned, WifiNetwork

MAX_TRIES = 20
"""Wrong proofs until the device answers no more: each is one guess at its proof of possession."""


class Inside(Struct, frozen=True):
    """What the device does: sees networks, joins one, says what became of it."""

    networks: Callable[[], Sequence[SeenNetwork]]
    join: Callable[[Provisioned], None]
    status: Callable[[], Status]


class SetupDevice:
    """A device in its setup network. `scheme` 1 or 2; `takes_token`: whether it knows the endpoint for tokens."""

    def __init__(
        self, proof: Proof, inside: Inside, *, entropy: Entropy, scheme: int = 2, takes_token: bool = True
    ) -> None:
        self._login = proof.login()
        self._inside = inside
        self._entropy = entropy
        self._scheme = scheme
        capabilities = ("wifi_scan", calls.HANDOVER_CAPABILITY) if takes_token else ("wifi_scan",)
        self._version = Version(scheme, 1, capabilities)
        self._record = srp.register(self._login, entropy) if scheme == security2.SCHEME else None
        self._tries = 0
        self._proving: Answers | None = None
        self._cipher: Cipher | None = None
        self._network: WifiNetwork | None = None
        self._token = b""
        self._seen: tuple[SeenNetwork, ...] = ()

    def answer(self, endpoint: str, body: bytes) -> bytes:
        """The endpoint's answer. Raises PairingError: the call is refused, and a session that was being proved ends."""
        if len(body) > calls.MAX_BODY:
            raise MalformedMessageError(f"{len(body)} octets")
        match endpoint:
            case calls.VERSION:
                return messages.pack_version(self._version)
            case calls.SESSION:
                return self._prove(body)
            case calls.SCAN:
                return self._sealed(body, self._scan)
            case calls.CONFIG:
                return self._sealed(body, self._configure)
            case calls.HANDOVER if calls.HANDOVER_CAPABILITY in self._version.capabilities:
                return self._sealed(body, self._take_token)
            case _:
                raise EndpointRefusedError("no such endpoint")

    def forget_session(self) -> None:
        """The client is gone: whoever comes next proves anew. What was applied stays applied."""
        self._proving, self._cipher, self._network, self._token = None, None, None, b""

    def _prove(self, body: bytes) -> bytes:
        if self._tries >= MAX_TRIES:
            raise TooManyTriesError(step="proving")
        proving, self._proving = self._proving, None
        if _is_first(body):
            self.forget_session()
            proving = self._begin(body)
            answer = next(proving)
            self._proving = proving
            return answer
        if proving is None:
            raise EndpointRefusedError("no session to prove", step="proving")
        # Counted before it is looked at, so that no way out of here is a free guess.
        self._tries += 1
        try:
            proving.send(body)
        except StopIteration as stop:
            self._tries = 0
            last: bytes
            last, self._cipher = stop.value
            return last
        raise ProofFailedError("more calls than the scheme has", step="proving")

    def _begin(self, body: bytes) -> Answers:
        if self._record is None:
            return security1.device(body, self._login.password, entropy=self._entropy)
        return security2.device(body, self._record, entropy=self._entropy)

    def _sealed(self, body: bytes, answer: Callable[[bytes], bytes]) -> bytes:
        if self._cipher is None:
            raise EndpointRefusedError("no session")
        try:
            return self._cipher.seal(answer(self._cipher.open(body)))
        except PairingError:
            # Both sides count what has passed the cipher; after a failure they no longer agree.
            self.forget_session()
            raise

    def _scan(self, plain: bytes) -> bytes:
        command = schema.parse("Scan", plain, step="scanning")
        # By its number, not by which member is there: an empty one need not be written.
        match command.msg:
            case schema.CMD_SCAN_START:
                self._seen = tuple(self._inside.networks())[: messages.MAX_NETWORKS]
                return schema.pack("Scan", msg=schema.RESP_SCAN_START, resp_start={})
            case schema.CMD_SCAN_STATUS:
                said = {"finished": True, "count": len(self._seen)}
                return schema.pack("Scan", msg=schema.RESP_SCAN_STATUS, resp_status=said)
            case schema.CMD_SCAN_RESULT:
                start, count = command.cmd_result.start, command.cmd_result.count
                return messages.pack_entries(self._seen[start : start + count])
            case _:
                raise MalformedMessageError("no command of a scan", step="scanning")

    def _configure(self, plain: bytes) -> bytes:
        command = schema.parse("Config", plain, step="sending")
        match command.msg:
            case schema.CMD_SET_CONFIG:
                self._network = messages.parse_set_config(command.cmd_set)
                return schema.pack("Config", msg=schema.RESP_SET_CONFIG, resp_set={"status": schema.SUCCESS})
            case schema.CMD_APPLY_CONFIG:
                return self._apply()
            case schema.CMD_GET_STATUS:
                ssid = self._network.ssid if self._network else ""
                return messages.pack_status(self._inside.status(), ssid)
            case _:
                raise MalformedMessageError("no command about a network", step="sending")

    def _apply(self) -> bytes:
        if self._network is None:
            said = {"status": schema.INVALID_ARGUMENT}
            return schema.pack("Config", msg=schema.RESP_APPLY_CONFIG, resp_apply=said)
        self._inside.join(Provisioned(self._network, self._token))
        return schema.pack("Config", msg=schema.RESP_APPLY_CONFIG, resp_apply={"status": schema.SUCCESS})

    def _take_token(self, plain: bytes) -> bytes:
        if len(plain) != calls.TOKEN_SIZE or not plain.isalnum():
            raise MalformedMessageError("no token", step="sending")
        self._token = plain
        return b"\0"


def _is_first(body: bytes) -> bool:
    session = schema.parse("Session", body, step="proving")
    return bool(session.sec1.HasField("cmd0") or session.sec2.HasField("cmd0"))
