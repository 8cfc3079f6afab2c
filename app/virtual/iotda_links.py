"""A virtual IoTDA device's links: MQTT by aiomqtt, HTTPS by httpx2. `run` is the device until it is cancelled."""

import asyncio
import ssl
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import urlsplit

import aiomqtt
import httpx2
from msgspec import Struct

from app.links.iotda.codec import payloads, topics
from app.links.iotda.codec.errors import IotdaError
from app.links.iotda.codec.fields import decode, encode, given
from app.links.iotda.codec.signing import ClientId, password
from app.links.iotda.codec.times import hour_stamp
from app.virtual.body import Body
from app.virtual.iotda import Download, IotdaVoice, Said
from app.virtual.misbehaviour import Misbehaviour
from app.virtual.notices import Notices

KEEP_ALIVE: Final = 60
RETRY_S: Final = 2.0
TALKING: Final = "virtual-device-talking"
MAX_PACKAGE: Final = 256 << 20


class Place(Struct, frozen=True, kw_only=True):
    """Where the hub is (`mqtt://`, `mqtts://`, `http://` or `https://`), and who the device is to it.

    `ca` is what the hub's certificate must lead to; `tick` how often (s) the body lives, `every` how often it reports.
    Of `how` it is bad here as on its own link: wrong_credential, deaf, refuses, twice, slow, babbles.
    """

    url: str
    device_id: str
    secret: str
    ca: Path | None = None
    tick: float = 1.0
    every: float = 10.0
    how: Misbehaviour = Misbehaviour()

    def __repr__(self) -> str:
        return f"Place(url={self.url!r}, device_id={self.device_id!r})"


class _Forgotten(Exception):
    """It was reset, and has said that it has forgotten: there is nothing left to connect with."""


async def run(place: Place, body: Body, children: dict[str, Body], notices: Notices) -> None:
    """Be the device through lost connections, until it was reset: then it is nobody's."""
    voice = IotdaVoice(place.device_id, body, children, refuses=place.how.refuses)
    serve = _by_mqtt if urlsplit(place.url).scheme.startswith("mqtt") else _by_https
    tls = await asyncio.to_thread(_tls, place)
    forgotten = False
    while not forgotten:
        try:
            await serve(place, voice, notices, tls)
        except* _Forgotten:
            forgotten = True
            notices.tell("reset", by="hub")
            notices.tell("unpaired")
        except* (aiomqtt.MqttError, httpx2.HTTPError, OSError) as error:
            notices.tell("unlinked", code=str(error.exceptions[0])[:100])
        await asyncio.sleep(0 if forgotten else RETRY_S)


def _tls(place: Place) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=place.ca) if urlsplit(place.url).scheme in ("mqtts", "https") else None


def _signed(place: Place) -> tuple[ClientId, str]:
    """Who it is, and the proof; with a stamp the hub may check."""
    stamp = hour_stamp(time.time_ns() // 1_000_000)
    secret = "not-the-secret" if place.how.wrong_credential else place.secret
    return ClientId(place.device_id, 1, stamp), password(secret.encode(), stamp)


# MQTT


async def _by_mqtt(place: Place, voice: IotdaVoice, notices: Notices, tls: ssl.SSLContext | None) -> None:
    claimed, proof = _signed(place)
    where = urlsplit(place.url)
    client = aiomqtt.Client(
        where.hostname or "",
        where.port or (8883 if tls else 1883),
        identifier=str(claimed),
        username=place.device_id,
        password=proof,
        keepalive=KEEP_ALIVE,
        tls_context=tls,
    )
    async with client:
        notices.tell("linked", host=where.hostname, port=where.port)
        for pattern in topics.implicit(place.device_id):
            await client.subscribe(pattern, qos=1)
        await _say(client, voice.greeting())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_hear(client, place, voice, notices, tls), name=TALKING)
            tasks.create_task(_live(client, place, voice), name=TALKING)


async def _hear(
    client: aiomqtt.Client, place: Place, voice: IotdaVoice, notices: Notices, tls: ssl.SSLContext | None
) -> None:
    async for message in client.messages:
        notices.tell("told", topic=str(message.topic))
        if place.how.deaf:
            continue
        await asyncio.sleep(place.how.slow)
        said = list(voice.hear(str(message.topic), bytes(message.payload)))
        await _say(client, said * 2 if place.how.twice else said)
        if voice.wiped:
            raise _Forgotten
        for what, details in voice.body.shown:
            notices.tell(what, **details)
        voice.body.shown.clear()
        while voice.downloads:
            download = voice.downloads.pop(0)
            await _say(client, await _upgraded(voice, download, tls))
            notices.tell("upgraded", version=voice.versions[download.kind])


async def _live(client: aiomqtt.Client, place: Place, voice: IotdaVoice) -> None:
    chance = Random()  # noqa: S311 - weather, not secrets
    while True:
        await asyncio.sleep(place.tick)
        if changes := voice.body.tick(place.tick, chance):
            await _say(client, [voice.report(changes)])
        if place.how.babbles:
            await _say(client, [(str(topics.Topic(topics.Kind.REPORT, place.device_id)), chance.randbytes(20))])


async def _say(client: aiomqtt.Client, said: Iterable[Said]) -> None:
    for topic, payload in said:
        await client.publish(topic, payload, qos=1)
        # What aiomqtt waits by may lose a cancellation that comes as the answer does (asyncio.wait_for before 3.12).
        # A task of the group's own sees that here; for the device itself, who ends it does so again.
        if (task := asyncio.current_task()) is not None and task.get_name() == TALKING and task.cancelling():
            raise asyncio.CancelledError


async def _upgraded(voice: IotdaVoice, download: Download, tls: ssl.SSLContext | None) -> list[Said]:
    try:
        octets = await _fetch(download, tls)
    except (httpx2.HTTPError, OSError):
        return [voice.not_fetched(download)]
    return list(voice.fetched(download, octets))


async def _fetch(download: Download, tls: ssl.SSLContext | None) -> bytes:
    verify = tls if tls is not None else download.url.startswith("https:")
    async with await _http(verify) as client:
        answer = await client.get(download.url, headers={"Authorization": f"Bearer {download.token}"})
        answer.raise_for_status()
        return answer.content[: MAX_PACKAGE + 1]


async def _http(verify: ssl.SSLContext | bool) -> httpx2.AsyncClient:
    """Off the loop: it may read the machine's certificates."""
    return await asyncio.to_thread(httpx2.AsyncClient, verify=verify, trust_env=False, timeout=30.0)


# HTTPS


async def _by_https(place: Place, voice: IotdaVoice, notices: Notices, tls: ssl.SSLContext | None) -> None:
    """Report what is different, and everything now and then; a token that is refused is renewed."""
    base = place.url.rstrip("/")
    async with await _http(tls if tls is not None else False) as client:
        token = await _token(client, place, voice, base)
        notices.tell("linked", host=urlsplit(place.url).hostname, port=urlsplit(place.url).port)
        chance, since = Random(), place.every  # noqa: S311 - weather, not secrets
        while True:
            changes = voice.body.tick(place.tick, chance)
            if since >= place.every:
                changes, since = {service: voice.body.readable(service) for service in voice.body.values}, 0.0
            if changes:
                _, payload = voice.report(changes)
                if place.how.babbles:
                    payload = chance.randbytes(20)
                path = f"{base}/v5/devices/{place.device_id}/sys/properties/report"
                answer = await client.post(path, content=payload, headers={"access_token": token})
                notices.tell("reported", status=answer.status_code)
                if answer.status_code == httpx2.codes.FORBIDDEN:
                    return
            await asyncio.sleep(place.tick)
            since += place.tick


async def _token(client: httpx2.AsyncClient, place: Place, voice: IotdaVoice, base: str) -> str:
    claimed, proof = _signed(place)
    asked = payloads.DeviceAuth(device_id=place.device_id, sign_type=1, timestamp=claimed.stamp, password=proof)
    answer = await client.post(f"{base}/v5/device-auth", content=encode(asked))
    answer.raise_for_status()
    try:
        given_token = decode(payloads.device_token, answer.content)
    except IotdaError as error:
        raise httpx2.HTTPError("the hub's token cannot be read") from error
    if (reset := given(given_token.factory_reset, "")) and not place.how.deaf:
        path = f"{base}/v5/devices/{place.device_id}/sys/commands/response/{topics.REQUEST}{reset}"
        headers = {"access_token": given_token.access_token}
        (await client.post(path, content=encode(voice.wipe(reset)), headers=headers)).raise_for_status()
        raise _Forgotten
    return given_token.access_token
