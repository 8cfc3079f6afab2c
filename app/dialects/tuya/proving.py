"""Who asks: the key named, the time, the token and the signature, in that order; each refusal with its own code."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from app.accounts.credentials import Credentials
from app.clock import Clock, Moment
from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.key_secrets import KeySecrets
from app.dialects.tuya.sessions import Sessions
from app.dialects.tuya.signing import Request, signed_by
from app.policy import Actor

TOKEN_CALLS: Final = frozenset(
    {"/v1.0/token", "/v1.0/iot-01/associated-users/actions/authorized-login", "/v1.0/iot-03/users/login"}
)
REFRESHES: Final = "/v1.0/token/"
# Clients' clocks and ours may differ so much (specs/tuya/notes.md, 1).
WINDOW_MS: Final = 5 * 60_000
# Ten minutes of one client that sends a nonce with 100 requests a second; only who signs can fill it.
MAX_NONCES: Final = 60_000
MAX_T: Final = 16


def is_token_call(path: str) -> bool:
    """Whether a path is asked without a token, or with one that does not matter."""
    return path in TOKEN_CALLS or path.startswith(REFRESHES)


class Proving:
    """Checks requests; what it is asked is cheap until a token or a client id is known here."""

    def __init__(self, credentials: Credentials, sessions: Sessions, secrets: KeySecrets, clock: Clock) -> None:
        self._credentials = credentials
        self._sessions = sessions
        self._secrets = secrets
        self._clock = clock
        self._signs: OrderedDict[str, None] = OrderedDict()

    def claimed(self, headers: Mapping[str, str]) -> Actor | None:
        """Whom the token of a request stands for, before anything of it is proved: what limits count by."""
        now = self._clock.now()
        key_id = self._sessions.key_of(headers.get("access_token", ""), now)
        if key_id is None or key_id != headers.get("client_id"):
            return None
        return self._credentials.holder_of(key_id, now)

    def check_head(self, path: str, headers: Mapping[str, str], claimed: Actor | None) -> None:
        """Refuse what cannot be valid whatever its body; raises TuyaError."""
        if any(not headers.get(name) for name in ("client_id", "sign", "t")):
            raise TuyaError(codes.HEADER_MISSING)
        self._check_time(headers["t"], self._clock.now())
        if not is_token_call(path) and claimed is None:
            raise TuyaError(codes.TOKEN_INVALID)

    async def prove(self, path: str, request: Request) -> Actor:
        """Whom the key that signed a request acts for; raises TuyaError."""
        client_id = request.header("client_id")
        found = await self._secrets.of(client_id)
        now = self._clock.now()
        holder = self._credentials.holder_of(client_id, now)
        if found is None or holder is None:
            raise TuyaError(codes.CLIENT_INVALID)
        refreshes = path.startswith(REFRESHES)
        if not signed_by(found[1], request, old=refreshes, token_call=is_token_call(path)):
            raise TuyaError(codes.SIGN_INVALID)
        # Asked again: the token may have ended while the body was still coming.
        if not is_token_call(path) and self.claimed(request.headers) is None:
            raise TuyaError(codes.TOKEN_INVALID)
        self._remember(request)
        return holder

    def _check_time(self, t: str, now: Moment) -> None:
        if len(t) > MAX_T or not (t.isascii() and t.isdigit()):
            raise TuyaError(codes.TIME_INVALID)
        # A hub that does not know the time cannot say that a client's is wrong.
        if now.trusted and abs(int(t) - now.ms) > WINDOW_MS:
            raise TuyaError(codes.TIME_INVALID)

    def _remember(self, request: Request) -> None:
        """A request that names a nonce is taken once; its signature covers the nonce, so that it stands for both."""
        if not request.header("nonce"):
            return
        sign = request.header("sign").upper()
        if sign in self._signs:
            raise TuyaError(codes.REPEATED)
        self._signs[sign] = None
        if len(self._signs) > MAX_NONCES:
            self._signs.popitem(last=False)
