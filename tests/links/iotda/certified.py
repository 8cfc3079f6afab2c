"""A whole hub with TLS, who signs devices' certificates, and devices that show them."""

import asyncio
import hashlib
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e.living import Living
from tests.links.iotda.paho_device import PahoDevice
from tests.links.mqtt.certificates import certificate

PEM: Final = serialization.Encoding.PEM
Transport = Literal["tcp", "websockets"]
TRANSPORTS: tuple[Transport, ...] = ("tcp", "websockets")
WRONG, CLOSED = "Bad user name or password", "closed"


class Authority:
    """Signs devices' certificates, into `folder`."""

    def __init__(self, folder: Path, name: str = "authority of lamps") -> None:
        self._folder = folder
        self._own: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] = certificate(name, None)

    @property
    def pem(self) -> bytes:
        return self._own[0].public_bytes(PEM)

    def issue(self, name: str, lasts: timedelta = timedelta(days=2)) -> "Shown":
        """Blocks."""
        made, key = certificate(name, self._own, lasts)
        private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        der = made.public_bytes(serialization.Encoding.DER)
        file = self._folder / f"{hashlib.sha256(der).hexdigest()}.pem"
        file.write_bytes(private + made.public_bytes(PEM))
        return Shown(file, der)


class Shown:
    """A certificate with its key, as its device has it."""

    def __init__(self, file: Path, der: bytes) -> None:
        self.file = file
        self.fingerprint = hashlib.sha256(der).hexdigest()


class Street:
    """A hub with TLS that trusts one authority."""

    def __init__(self, hub: Living, folder: Path, authority: Authority) -> None:
        self.hub = hub
        self._folder = folder
        self.authority = authority

    async def register(self, node_id: str, **how: Any) -> str:
        """The hub's id of a new lamp."""
        body = {"product_id": "lamp", "node_id": node_id, **how}
        answer = await self.hub.owner.post(f"/api/homes/{self.hub.home_id}/devices", json=body)
        assert answer.status_code == 201, answer.text
        device_id: str = answer.json()["device"]["id"]
        return device_id

    async def lamp(self, node_id: str) -> tuple[str, Shown]:
        """The same with a certificate that is known."""
        shown = await asyncio.to_thread(self.authority.issue, f"lamp_{node_id}")
        return await self.register(node_id, auth="certificate", fingerprint=shown.fingerprint), shown

    def trusting(self, shown: Shown | None) -> ssl.SSLContext:
        """A client's, for which the hub has to prove itself by its own certificate. Blocks."""
        context = ssl.create_default_context(cafile=str(self._folder / "tls.crt"))
        if shown is not None:
            context.load_cert_chain(shown.file)
        return context

    async def device(
        self,
        wire_id: str,
        shown: Shown | None,
        secret: str | None = None,
        *,
        transport: Transport = "tcp",
        version: int = 4,
    ) -> PahoDevice:
        """Not connected yet."""
        context = await asyncio.to_thread(self.trusting, shown)
        return PahoDevice(wire_id, secret, version=version, tls=context, transport=transport)

    def port(self, transport: Transport = "tcp") -> int:
        assert self.hub.node.mqtt is not None
        return self.hub.node.mqtt.ports["tls" if transport == "tcp" else "wss"]

    async def _shakes_hands(self, shown: Shown | None) -> bool:
        """Whether TLS takes it at the port of WebSocket: whatever is said after that is answered."""
        context = await asyncio.to_thread(self.trusting, shown)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port("websockets"), ssl=context)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n")
            return bool(await reader.read())
        except (ssl.SSLError, ConnectionError):
            return False
        finally:
            writer.transport.abort()

    async def told(self, wire_id: str, shown: Shown | None, secret: str | None = None, **how: Any) -> str:
        """What comes of a connection, and nothing more."""
        if how.get("transport") == "websockets" and not await self._shakes_hands(shown):
            return CLOSED  # paho leaves a socket open then
        device = await self.device(wire_id, shown, secret, **how)
        said = await device.connect(self.port(how.get("transport", "tcp")))
        if hasattr(device, "client"):
            await device.close()
        return said
