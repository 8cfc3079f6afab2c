"""The client's side of a provisioning: hear the version, prove, scan, send, ask what became of it."""

from collections.abc import Callable

from msgspec import Struct

from pairing.ap.setup import Connecting, SeenNetwork, Status
from pairing.errors import ConnectionLostError, MalformedMessageError, ProofFailedError, UnsupportedVersionError
from pairing.protocomm import calls, messages, security1, security2, srp
from pairing.protocomm.calls import Call, Calls, Cipher, EndpointRefusedError
from pairing.protocomm.messages import Version
from pairing.talk import Entropy
from pairing.wifi import WifiNetwork

USERNAME = "wifiprov"
"""The user name firmware is built with unless somebody chooses another."""
MAX_POP = 64
MAX_USERNAME = 64
RESULTS_AT_ONCE = 4
"""Networks asked for with one call: what stock firmware answers in one piece."""


class Proof(Struct, frozen=True):
    """The proof of possession, as printed or scanned; `username` only counts with security scheme 2.

    `scheme`: the one the device is known to speak, None where nobody has said.
    """

    pop: str = ""
    username: str = USERNAME
    scheme: int | None = None

    def __repr__(self) -> str:
        return f"Proof(username={self.username!r})"

    def login(self) -> srp.Login:
        """As octets. Raises ProofFailedError where it is longer than any device's."""
        username, pop = self.username.encode(), self.pop.encode()
        if len(username) > MAX_USERNAME or len(pop) > MAX_POP:
            raise ProofFailedError("proof of possession too long", step="proving")
        return srp.Login(username, pop)


class Session(Struct, frozen=True):
    """A proven session with a device: what it speaks, and what protects it."""

    version: Version
    cipher: Cipher

    @property
    def never_counts(self) -> bool:
        """Whether everything is sealed under one nonce: what a listener can guess (a list of networks, an address)
        then opens what they cannot (a password), so nothing of the kind is asked for."""
        return self.version.scheme == security2.SCHEME and self.version.patch < 1


def hear_version() -> Calls[Version]:
    """What the device speaks."""
    return messages.parse_version((yield Call(calls.VERSION, b"ESP", "reaching")))


def establish(proof: Proof, *, entropy: Entropy) -> Calls[Session]:
    """A proven session. Raises ProofFailedError for a wrong proof, UnsupportedVersionError for a device without any."""
    login = proof.login()
    version = yield from hear_version()
    if proof.scheme not in (None, version.scheme):
        raise ProofFailedError(f"security scheme {version.scheme}, not {proof.scheme}", step="proving")
    match version.scheme:
        case security1.SCHEME:
            cipher: Cipher = yield from _told_apart(security1.client(login.password, entropy=entropy))
        case security2.SCHEME:
            counts = version.patch >= 1
            cipher = yield from _told_apart(security2.client(login, entropy=entropy, counts=counts))
        case _:
            raise UnsupportedVersionError(f"security scheme {version.scheme}", step="proving")
    return Session(version, cipher)


def _told_apart(talk: Calls[Cipher]) -> Calls[Cipher]:
    """The talk; where the device hangs up on our proof, as stock firmware does, that is told from a lost connection."""
    call, asked = next(talk), 1
    while True:
        try:
            answer = yield call
        except (ConnectionLostError, EndpointRefusedError) as error:
            if asked == 1:
                raise
            yield from hear_version()
            raise ProofFailedError("the device refuses our proof", step="proving") from error
        try:
            call, asked = talk.send(answer), asked + 1
        except StopIteration as stop:
            cipher: Cipher = stop.value
            return cipher


def scan(session: Session) -> Calls[tuple[SeenNetwork, ...]]:
    """The networks the device sees, strongest first, each name once."""
    if session.never_counts or "wifi_scan" not in session.version.capabilities:
        return ()
    ask = _asking(session, calls.SCAN, "scanning")
    messages.parse_scan((yield from ask(messages.scan_start())), "resp_start")
    status = messages.parse_scan((yield from ask(messages.scan_status())), "resp_status")
    count = min(status.count, messages.MAX_NETWORKS)
    seen: dict[str, SeenNetwork] = {}
    for start in range(0, count, RESULTS_AT_ONCE):
        wanted = messages.scan_result(start, min(RESULTS_AT_ONCE, count - start))
        for entry in messages.parse_scan((yield from ask(wanted)), "resp_result").entries[:RESULTS_AT_ONCE]:
            network = messages.parse_entry(entry)
            if network and (network.ssid not in seen or network.rssi > seen[network.ssid].rssi):
                seen[network.ssid] = network
    return tuple(sorted(seen.values(), key=lambda network: -network.rssi))


def send(session: Session, network: WifiNetwork, token: bytes) -> Calls[bool]:
    """Have the device join the network. Whether it has taken the token."""
    takes_token = bool(token) and calls.HANDOVER_CAPABILITY in session.version.capabilities
    if takes_token:
        answer = yield from _asking(session, calls.HANDOVER, "sending")(token)
        if answer != b"\0":
            raise MalformedMessageError("token not taken", step="sending")
    ask = _asking(session, calls.CONFIG, "sending")
    messages.parse_config((yield from ask(messages.set_config(network))), "resp_set")
    messages.parse_config((yield from ask(messages.apply_config())), "resp_apply")
    return takes_token


def status(session: Session) -> Calls[Status]:
    """What has become of it."""
    if session.never_counts:
        return Connecting()
    ask = _asking(session, calls.CONFIG, "joining_wifi")
    return messages.parse_status(messages.parse_config((yield from ask(messages.get_status())), "resp_status"))


def _asking(session: Session, endpoint: str, step: str) -> Callable[[bytes], Calls[bytes]]:
    def ask(plain: bytes) -> Calls[bytes]:
        answer = yield Call(endpoint, session.cipher.seal(plain), step)
        return session.cipher.open(answer)

    return ask
