"""Clients of a hub whose every secret and every refusal is remembered."""

import re
from typing import Any

# Imported early: httpx2 would read files for it on the event loop, at the first client.
import httpcore2  # noqa: F401
import httpx2

from tests.e2e.living import WAIT
from tests.security.canaries import Canaries

SECRET_FIELDS = ("access_token", "refresh_token", "recovery_code", "secret", "poll_token")
_CODE = re.compile(r"[0-9A-Z]{4}(-[0-9A-Z]{4})+")


class Witness:
    """`secrets` handed out by the hub, and the whole text of all that it `refused`."""

    def __init__(self, secrets: Canaries) -> None:
        self.secrets = secrets
        self.refused: list[httpx2.Response] = []

    def client(self, url: str, token: str | None = None) -> httpx2.AsyncClient:
        """A client of the hub at `url`."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx2.AsyncClient(
            base_url=url,
            headers=headers,
            timeout=WAIT,
            verify=False,
            trust_env=False,
            event_hooks={"response": [self._note]},
        )

    @property
    def refusals(self) -> bytes:
        """Bodies and headers of everything that was refused."""
        return b"\n".join(r.content + repr(r.headers.multi_items()).encode() for r in self.refused)

    async def _note(self, response: httpx2.Response) -> None:
        await response.aread()
        if response.status_code >= 400:
            self.refused.append(response)
        elif response.content and "json" in response.headers.get("content-type", ""):
            self._learn(response.json())

    def _learn(self, value: Any) -> None:
        if isinstance(value, list):
            for each in value:
                self._learn(each)
        elif isinstance(value, dict):
            for name, inner in value.items():
                code = name == "code" and isinstance(inner, str) and _CODE.fullmatch(inner)
                if isinstance(inner, str) and (code or name in SECRET_FIELDS):
                    self.secrets.add(f"{name} {inner[:8]}", inner)
                self._learn(inner)
