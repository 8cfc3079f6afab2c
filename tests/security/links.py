"""Every link of a hub as a device uses it: let in a device, knock with whatever credential, and see what comes of it.

What a knock says is a report of one value; "in" means that the hub took it, "only its reset" that it was told of that
alone. Everything else is the refusal, in the words of the link.
"""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Protocol

import httpx2
from msgspec import Struct

from app.caller import BY_SYSTEM
from app.devices.model import NewDevice
from app.links.iotda.codec.signing import password
from app.store.tx import Tx
from pairing import link, wire
from pairing.device import Binding
from pairing.errors import LinkRefusedError, PairingError
from pairing.identity import Identity
from pairing.messages import Hello, Ping, Report, Reset, decode_from_hub, encode
from pairing.pump import pump, read_frame, write_frame
from tests.e2e.living import Living
from tests.links.iotda.certified import Shown, Street, Transport
from tests.links.iotda.paho_device import STAMP, PahoDevice

WAIT: Final = 60.0
IN, ONLY_ITS_RESET = "in", "only its reset"
# What nobody may make the hub believe of a device that it was not told by that device.
SAID: Final[dict[str, bool | int | float | str | None]] = {"brightness": 66}
LONG_AGO_MS: Final = 25 * 3_600_000
ONE_HOUR: Final = timedelta(hours=1)


class Lamp(Struct):
    """A device, what it calls itself, and what proves it; `more` is what its link needs besides."""

    id: str
    wire_id: str
    credential: Any
    more: Any = None
    reset_id: str = ""


class Link(Protocol):
    """A link; `None` is no credential at all."""

    async def let_in(self, home_id: str) -> Lamp:
        """A new device of a home."""

    async def knock(self, lamp: Lamp, credential: Any) -> str:
        """As that device, with that credential."""

    def wrong(self, lamp: Lamp) -> Awaitable[Any]:
        """A credential of the right form."""

    def expired(self, lamp: Lamp) -> Awaitable[str]:
        """Knock with one whose time is over."""

    async def forget(self, lamp: Lamp) -> None:
        """Acknowledge its reset."""

    async def about(self, lamp: Lamp, other: Lamp) -> str:
        """Come in as itself, and speak as another."""


class _OfHub:
    def __init__(self, hub: Living) -> None:
        self.hub = hub

    async def register(self, home_id: str, **how: Any) -> Lamp:
        body = {"product_id": "lamp", "node_id": secrets.token_hex(4), **how}
        answer = await self.hub.owner.post(f"/api/homes/{home_id}/devices", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return Lamp(made["device"]["id"], made["device_id"], made["secret"])

    async def renew(self, lamp: Lamp) -> None:
        """Another credential in the place of the one it has."""
        answer = await self.hub.owner.post(f"/api/devices/{lamp.id}/secret", json={})
        assert answer.status_code == 200, answer.text


class Lan(_OfHub):
    """The hub's own protocol: a binding, and a key."""

    async def let_in(self, home_id: str) -> Lamp:
        identity, credential = Identity.generate(secrets.token_bytes), secrets.token_bytes(32)
        new = NewDevice(
            home_id=home_id,
            hardware_id=identity.device_id,
            product_id="lamp",
            public_key=identity.public,
            credential=credential,
        )

        def act(tx: Tx) -> str:
            return self.hub.node.services.devices.bind_in(tx, BY_SYSTEM, new).id

        made = await self.hub.node.store.write(act)
        return Lamp(made, identity.device_id, credential, identity)

    async def wrong(self, lamp: Lamp) -> bytes:
        return secrets.token_bytes(32)

    async def knock(self, lamp: Lamp, credential: Any) -> str:
        return await self._say(lamp, credential or bytes(32), Report("light", SAID))

    async def about(self, lamp: Lamp, other: Lamp) -> str:
        return await self._say(lamp, lamp.credential, Report("light", SAID, child=other.wire_id))

    async def forget(self, lamp: Lamp) -> None:
        assert await self._say(lamp, lamp.credential, Reset()) == ONLY_ITS_RESET
        path = f"/api/devices/{lamp.id}/reset"
        async with asyncio.timeout(WAIT):
            while (await self.hub.owner.get(path)).json()["state"] != "confirmed":
                await asyncio.sleep(0.02)

    async def _say(self, lamp: Lamp, credential: bytes, said: Report | Reset) -> str:
        own = await self.hub.node.services.hub.identity()
        binding = Binding(own.hub_id, own.public, "Hub", (), credential, "b", epoch=1, time=0)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.hub.node.link_port)
        try:
            async with asyncio.timeout(WAIT):
                talk = link.device_talk(lamp.more, binding, entropy=secrets.token_bytes)
                channel = await pump(talk, reader, writer, keep_open=True)
                for message in (Hello("1.0.0", "lamp"), said, Ping()):
                    await write_frame(writer, channel.seal(encode(message)))
                frame = await read_frame(reader, WAIT, step="linked", limit=wire.MAX_FRAME)
                return ONLY_ITS_RESET if isinstance(decode_from_hub(channel.open(frame)), Reset) else IN
        except LinkRefusedError as error:
            return f"refused: {error.reason}"
        except PairingError as error:
            return error.code
        finally:
            writer.transport.abort()


class Mqtt(_OfHub):
    """With a secret; in the clear, or over WebSocket."""

    def __init__(self, hub: Living, street: Street, transport: Transport = "tcp") -> None:
        super().__init__(hub)
        self.street = street
        self.transport: Transport = transport

    async def let_in(self, home_id: str) -> Lamp:
        return await self.register(home_id)

    async def wrong(self, lamp: Lamp) -> Any:
        return secrets.token_hex(16)

    async def device(self, lamp: Lamp, credential: Any, **how: Any) -> tuple[PahoDevice, int]:
        """Not connected yet, and where."""
        assert self.hub.node.mqtt is not None
        if self.transport == "tcp":
            return PahoDevice(lamp.wire_id, credential, **how), self.hub.node.mqtt.ports["tcp"]
        context = await asyncio.to_thread(self.street.trusting, None)
        made = PahoDevice(lamp.wire_id, credential, tls=context, transport=self.transport, **how)
        return made, self.street.port(self.transport)

    async def expired(self, lamp: Lamp) -> str:
        return await self._in(lamp, lamp.credential, _report, mode=1, stamp=STAMP)

    async def knock(self, lamp: Lamp, credential: Any) -> str:
        return await self._in(lamp, credential, _report)

    async def about(self, lamp: Lamp, other: Lamp) -> str:
        async def speak(device: PahoDevice) -> str:
            theirs = f"$oc/devices/{other.wire_id}"
            granted = [await device.subscribe_at(each) for each in (f"{theirs}/#", "#", "$oc/devices/+/sys/#")]
            await device.publish_at(f"{theirs}/sys/properties/report", _REPORT)
            asked = {"service": "light", "values": {"on": False}, "expires_in": 600}
            path = f"/api/devices/{other.id}/commands"
            assert (await self.hub.owner.post(path, json=asked)).status_code == 202
            # What was said before this is acknowledged is dealt with.
            await device.publish("sys/properties/report", {"services": []})
            return "neither written nor read" if granted == [128] * 3 and device.heard.empty() else IN

        return await self._in(lamp, lamp.credential, speak)

    async def forget(self, lamp: Lamp) -> None:
        async def speak(device: PahoDevice) -> str:
            await device.publish(f"sys/commands/response/request_id={lamp.reset_id}", {"result_code": 0})
            return ""

        await self._in(lamp, lamp.credential, speak)

    async def _in(self, lamp: Lamp, credential: Any, speak: Callable[[PahoDevice], Awaitable[str]], **how: Any) -> str:
        device, port = await self.device(lamp, credential, **how)
        said = await device.connect(port)
        try:
            return await speak(device) if said == "Success" else said
        finally:
            if hasattr(device, "client"):
                await device.close()


_REPORT: Final = {"services": [{"service_id": "Light", "properties": SAID}]}


async def _report(device: PahoDevice) -> str:
    await device.publish("sys/properties/report", _REPORT)
    with suppress(asyncio.QueueEmpty):
        _, told = device.heard.get_nowait()
        return ONLY_ITS_RESET if told["command_name"] == "factory_reset" else IN
    return IN


class Certified(Mqtt):
    """With a certificate over TLS."""

    async def let_in(self, home_id: str) -> Lamp:
        shown = await self.issue()
        lamp = await self.register(home_id, auth="certificate", fingerprint=shown.fingerprint)
        lamp.credential = shown
        return lamp

    async def issue(self, **how: Any) -> Shown:
        return await asyncio.to_thread(lambda: self.street.authority.issue("lamp", **how))

    async def wrong(self, lamp: Lamp) -> Shown:
        return await self.issue()

    async def device(self, lamp: Lamp, credential: Any, **how: Any) -> tuple[PahoDevice, int]:
        return await self.street.device(lamp.wire_id, credential), self.street.port()

    async def expired(self, lamp: Lamp) -> str:
        over = await self.issue(lasts=-ONE_HOUR)
        answer = await self.hub.owner.post(f"/api/devices/{lamp.id}/secret", json={"fingerprint": over.fingerprint})
        assert answer.status_code == 200, answer.text
        return await self.knock(lamp, over)

    async def renew(self, lamp: Lamp) -> None:
        new = {"fingerprint": (await self.issue()).fingerprint}
        assert (await self.hub.owner.post(f"/api/devices/{lamp.id}/secret", json=new)).status_code == 200


class Https(_OfHub):
    """IoTDA's device side over HTTPS, as far as its secret goes."""

    async def let_in(self, home_id: str) -> Lamp:
        return await self.register(home_id, link="https")

    async def wrong(self, lamp: Lamp) -> Any:
        return secrets.token_hex(16)

    async def knock(self, lamp: Lamp, credential: Any) -> str:
        return await self._knock(lamp, credential, STAMP, 0)

    async def expired(self, lamp: Lamp) -> str:
        return await self._knock(lamp, lamp.credential, STAMP, 1)

    async def _knock(self, lamp: Lamp, secret: Any, stamp: str, mode: int) -> str:
        answer = await self.token(lamp, secret, stamp, mode)
        if answer.status_code != 200:
            return told(answer)
        said = await self.report(lamp.wire_id, answer.json()["access_token"])
        if "factory_reset" in answer.json():
            return ONLY_ITS_RESET if said != IN else said
        return said

    async def about(self, lamp: Lamp, other: Lamp) -> str:
        answer = await self.token(lamp, lamp.credential)
        return await self.report(other.wire_id, answer.json()["access_token"])

    async def forget(self, lamp: Lamp) -> None:
        token = (await self.token(lamp, lamp.credential)).json()["access_token"]
        path = f"/v5/devices/{lamp.wire_id}/sys/commands/response/request_id={lamp.reset_id}"
        async with self.hub.client() as client:
            answer = await client.post(path, json={"result_code": 0}, headers={"access_token": token})
        assert answer.status_code == 200, answer.text

    async def token(self, lamp: Lamp, secret: Any, stamp: str = STAMP, mode: int = 0) -> httpx2.Response:
        """What is said to who asks for one."""
        body = {"device_id": lamp.wire_id, "sign_type": mode, "timestamp": stamp}
        if secret is not None:
            body["password"] = password(secret.encode(), stamp)
        async with self.hub.client() as client:
            return await client.post("/v5/device-auth", json=body)

    async def report(self, wire_id: str, token: str | None) -> str:
        """With that token."""
        headers = {} if token is None else {"access_token": token}
        async with self.hub.client() as client:
            answer = await client.post(f"/v5/devices/{wire_id}/sys/properties/report", json=_REPORT, headers=headers)
        return IN if answer.status_code == 200 else told(answer)


class HttpsToken(Https):
    """The same by the token it was given for its secret, which is `credential` here."""

    async def let_in(self, home_id: str) -> Lamp:
        lamp = await self.register(home_id, link="https")
        answer = await self.token(lamp, lamp.credential)
        lamp.more, lamp.credential = lamp.credential, answer.json()["access_token"]
        return lamp

    async def wrong(self, lamp: Lamp) -> str:
        token: str = lamp.credential
        return token[:-2] + ("AA" if token[-2:] != "AA" else "BB")

    async def knock(self, lamp: Lamp, credential: Any) -> str:
        return await self.report(lamp.wire_id, credential)

    async def expired(self, lamp: Lamp) -> str:
        services, fresh = self.hub.node.services, await self.register(self.hub.home_id, link="https")
        device = services.devices.of_hardware(fresh.wire_id)
        assert device is not None
        over = services.iotda.https.tokens.make(device, self.hub.node.store.clock.now().ms - LONG_AGO_MS)
        lamp.id, lamp.wire_id = fresh.id, fresh.wire_id
        return await self.report(fresh.wire_id, over)

    async def about(self, lamp: Lamp, other: Lamp) -> str:
        return await self.report(other.wire_id, lamp.credential)

    async def forget(self, lamp: Lamp) -> None:
        await super().forget(Lamp(lamp.id, lamp.wire_id, lamp.more, reset_id=lamp.reset_id))


class Heartbeat(_OfHub):
    """By the token alone."""

    async def let_in(self, home_id: str) -> Lamp:
        return await self.register(home_id, link="heartbeat")

    async def wrong(self, lamp: Lamp) -> str:
        return "dvt_" + secrets.token_urlsafe(32)

    async def knock(self, lamp: Lamp, credential: Any) -> str:
        answer = await self._beat(credential, {"services": [{"service": "light", "values": SAID}]})
        if answer.status_code != 200:
            return told(answer)
        kinds = [each["kind"] for each in answer.json()["commands"]]
        return ONLY_ITS_RESET if kinds == ["factory_reset"] else IN

    async def forget(self, lamp: Lamp) -> None:
        answer = await self._beat(lamp.credential, {"answers": [{"id": lamp.reset_id, "ok": True}]})
        assert answer.status_code == 200, answer.text

    async def _beat(self, token: str | None, said: Any) -> httpx2.Response:
        async with self.hub.client(token) as client:
            return await client.post("/v1/heartbeat", json=said)


def told(answer: httpx2.Response) -> str:
    """A refusal: its status and code."""
    assert 400 <= answer.status_code < 500, answer.text
    said = json.loads(answer.content)
    return f"{answer.status_code} {said.get('error_code') or said['code']}"
