"""A device as somebody else's library has it: paho-mqtt in a thread of its own, heard on the event loop."""

import asyncio
import json
import ssl
from typing import Any, Literal

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from app.links.iotda.codec.signing import password

WAIT = 30.0
STAMP = "2019120219"


class PahoDevice:
    """`await connect()`, then `publish` and `next`; `close` at the end.

    Without a `secret` it shows no password: its certificate, in `tls`, is what proves it.
    """

    def __init__(
        self,
        device_id: str,
        secret: str | None,
        *,
        version: int = 4,
        stamp: str = STAMP,
        mode: int = 0,
        tls: ssl.SSLContext | None = None,
        transport: Literal["tcp", "websockets"] = "tcp",
    ) -> None:
        self.device_id = device_id
        self.heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.heard_at: list[int] = []  # the QoS of each
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[str] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._version = MQTTProtocolVersion.MQTTv5 if version == 5 else MQTTProtocolVersion.MQTTv311
        self._client_id = f"{device_id}_0_{mode}_{stamp}"
        self._password = None if secret is None else password(secret.encode(), stamp)
        self._tls = tls
        self._transport: Literal["tcp", "websockets"] = transport
        self.client: Client

    def _open(self, port: int) -> None:
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            self._client_id,
            protocol=self._version,
            reconnect_on_failure=False,
            transport=self._transport,
        )
        self.client.username_pw_set(self.device_id, self._password)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = self._on_message
        if self._tls is not None:
            self.client.tls_set_context(self._tls)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    async def connect(self, port: int) -> str:
        """What CONNACK says, or "closed" where there is none."""
        try:
            await asyncio.to_thread(self._open, port)
        except (ssl.SSLError, ConnectionError):
            return "closed"
        async with asyncio.timeout(WAIT):
            return await self._connected

    async def subscribe(self, path: str, qos: int = 1) -> None:
        """Below its own id."""
        await self.subscribe_at(f"$oc/devices/{self.device_id}/{path}", qos)

    async def subscribe_at(self, pattern: str, qos: int = 1) -> int:
        """Anywhere; returns what is answered: the granted QoS, or 128 and more."""
        done: asyncio.Future[int] = self._loop.create_future()

        def on_subscribe(client: Client, data: Any, mid: int, codes: list[ReasonCode], properties: Any) -> None:
            self._loop.call_soon_threadsafe(done.set_result, codes[0].value)

        self.client.on_subscribe = on_subscribe
        await asyncio.to_thread(self.client.subscribe, pattern, qos)
        async with asyncio.timeout(WAIT):
            return await done

    async def publish(self, path: str, payload: Any, qos: int = 1) -> None:
        """Under its own id; returns when it is acknowledged."""
        await self.publish_at(f"$oc/devices/{self.device_id}/{path}", payload, qos)

    async def publish_at(self, topic: str, payload: Any, qos: int = 1) -> None:
        """Anywhere."""
        info = await asyncio.to_thread(self.client.publish, topic, json.dumps(payload), qos)
        await asyncio.to_thread(info.wait_for_publish, WAIT)

    async def next(self) -> tuple[str, Any]:
        """What it hears next, below its own id."""
        async with asyncio.timeout(WAIT):
            return await self.heard.get()

    async def close(self) -> None:
        """Leave no thread."""
        await asyncio.to_thread(self.client.disconnect)
        await asyncio.to_thread(self.client.loop_stop)

    def _on_connect(
        self, client: Client, data: Any, flags: ConnectFlags, why: ReasonCode, properties: Properties | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._say, str(why))

    def _on_disconnect(self, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._gone)

    def _gone(self) -> None:
        self._say("closed")
        if not self.ended.done():
            self.ended.set_result(None)

    def _say(self, why: str) -> None:
        if not self._connected.done():
            self._connected.set_result(why)

    def _on_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        self.heard_at.append(message.qos)
        path = message.topic.removeprefix(f"$oc/devices/{self.device_id}/")
        self._loop.call_soon_threadsafe(self.heard.put_nowait, (path, json.loads(message.payload)))
