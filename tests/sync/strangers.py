"""A hub that is no Doorstep: it says to a cloud whatever a test wants it to say."""

import itertools
from typing import Any, cast

import httpx2
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.sync.enrolment import wire
from tests.api.harness import Api

_NUMBERS = itertools.count(1)


class Stranger:
    """Each has a name, keys, and an address of its own."""

    def __init__(self, cloud: Api) -> None:
        number = next(_NUMBERS)
        self.cloud = cloud
        self.hub_id = f"h-{number}"
        self.key = Ed25519PrivateKey.generate()
        transport = httpx2.ASGITransport(app=cast("Any", cloud.app), client=(f"192.0.2.{number % 250}", number))
        self._http = httpx2.AsyncClient(transport=transport, base_url="http://cloud")

    async def post(self, path: str, body: msgspec.Struct | bytes = b"", token: str | None = None) -> httpx2.Response:
        """Say `body`."""
        headers = {"Content-Type": wire.MEDIA_TYPE} | ({} if token is None else {"Authorization": f"Bearer {token}"})
        content = body if isinstance(body, bytes) else wire.encode(body)
        return await self._http.post(path, content=content, headers=headers)

    def says(self, code: str, **other: Any) -> wire.Enrol:
        """How it introduces itself; `other` in the place of the truth."""
        public = self.key.public_key().public_bytes_raw()
        plain = wire.Enrol(code, self.hub_id, "Strange", public, bytes(32), "node-1", 1, bytes(32))
        return msgspec.structs.replace(plain, **other)

    async def enrolled_by(self, person: httpx2.AsyncClient) -> str:
        """All of it; returns the path of the hub."""
        made = (await person.post("/api/hubs/enrolments")).json()
        assert (await self.post("/sync/enrol", self.says(made["code"]))).status_code == 200
        confirmed = await person.post(f"/api/hubs/enrolments/{made['id']}/confirm")
        assert confirmed.status_code == 200, confirmed.text
        return f"/api/hubs/{self.hub_id}"

    async def proof(self, **other: Any) -> wire.Prove:
        """What it proves itself with; `other` is signed in the place of the truth."""
        challenge = msgspec.msgpack.decode((await self.post("/sync/challenges")).content, type=wire.Challenge)
        plain = wire.Prove(self.hub_id, "node-1", 1, challenge.nonce, bytes(64))
        made = msgspec.structs.replace(plain, **{k: v for k, v in other.items() if k in wire.Prove.__struct_fields__})
        cloud_id = other.get("cloud_id", self.cloud.services.hub.view().id)
        text = wire.session_text(cloud_id, made.hub_id, made.node, made.incarnation, made.nonce)
        return msgspec.structs.replace(made, signature=other.get("signer", self.key).sign(text))

    async def token(self, **other: Any) -> str:
        """A session."""
        answer = await self.post("/sync/sessions", await self.proof(**other))
        assert answer.status_code == 200, answer.text
        return msgspec.msgpack.decode(answer.content, type=wire.Opened).token
