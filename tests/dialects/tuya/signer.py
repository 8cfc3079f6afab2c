"""A client of its own making: signs as the documentation says, so that it shares nothing with what checks."""

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import unquote_plus

import httpx2

from tests.api.harness import Api


def sign(secret: str, parts: list[str]) -> str:
    """HMAC-SHA256 of the parts, in capital hexadecimal."""
    return hmac.new(secret.encode(), "".join(parts).encode(), hashlib.sha256).hexdigest().upper()


class TuyaClient:
    """Speaks as the documentation says: `await client.get("/v1.0/devices")` answers the envelope."""

    def __init__(self, api: Api, http: httpx2.AsyncClient, client_id: str, secret: str) -> None:
        self.api = api
        self.http = http
        self.client_id = client_id
        self.secret = secret
        self.token = ""
        self.uid = ""
        self.refresh_token = ""

    def headers(
        self, method: str, target: str, body: bytes, nonce: str = "", token: str | None = None
    ) -> dict[str, str]:
        """The headers of a request."""
        held = self.token if token is None else token
        t = str(self.api.clock.now().ms)
        path, _, query = target.partition("?")
        plain = "&".join(sorted(unquote_plus(pair) for pair in query.split("&"))) if query else ""
        url = f"{path}?{plain}" if query else path
        text = f"{method}\n{hashlib.sha256(body).hexdigest()}\n\n{url}"
        signature = sign(self.secret, [self.client_id, held, t, nonce, text])
        named = {"client_id": self.client_id, "sign": signature, "t": t, "sign_method": "HMAC-SHA256"}
        return named | ({"access_token": held} if held else {}) | ({"nonce": nonce} if nonce else {})

    async def send(self, method: str, target: str, body: Any = None, **more: str) -> dict[str, Any]:
        """The envelope that a request is answered with; its status is always 200."""
        raw = b"" if body is None else json.dumps(body).encode()
        answer = await self.http.request(method, target, content=raw, headers=self.headers(method, target, raw, **more))
        assert answer.status_code == 200, answer.text
        envelope: dict[str, Any] = answer.json()
        assert set(envelope) == (
            {"success", "result", "t", "tid"} if envelope["success"] else {"success", "code", "msg", "t", "tid"}
        )
        return envelope

    async def connect(self) -> "TuyaClient":
        """Get a token."""
        got = (await self.send("GET", "/v1.0/token?grant_type=1", token=""))["result"]
        self.token, self.refresh_token, self.uid = got["access_token"], got["refresh_token"], got["uid"]
        return self

    async def ask(self, method: str, target: str, body: Any = None) -> Any:
        """The result of a request that succeeds."""
        envelope = await self.send(method, target, body)
        assert envelope["success"], envelope
        return envelope["result"]

    async def code(self, method: str, target: str, body: Any = None, **more: str) -> int | None:
        """The code of a refusal; None for success."""
        envelope = await self.send(method, target, body, **more)
        return None if envelope["success"] else envelope["code"]


ALL_SCOPES = ("read", "control", "manage")


async def tuya_client(
    api: Api, person: httpx2.AsyncClient, home_id: str | None = None, scopes: tuple[str, ...] = ALL_SCOPES
) -> TuyaClient:
    """A connected client with a new key of that person's."""
    body = {"name": "tuya", "scopes": list(scopes), "dialect": "tuya", "home_id": home_id}
    made = (await person.post("/api/me/keys", json=body)).json()
    return await TuyaClient(api, api.client(), made["key"]["id"], made["secret"]).connect()
