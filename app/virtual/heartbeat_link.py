"""A virtual device's heartbeats, over HTTP. `run` is the device until it is reset or cancelled."""

import asyncio
import ssl
from random import Random
from typing import Final
from urllib.parse import urlsplit

import httpx2

from app.links.heartbeat.codec import Heard, HeartbeatError, decode_heard, encode
from app.virtual.body import Body
from app.virtual.heartbeat import HeartbeatVoice
from app.virtual.iotda_links import Place
from app.virtual.notices import Notices

PATH: Final = "/v1/heartbeat"
# An answer is said so soon: the hub gives the next commands with it.
ANSWER_S: Final = 0.05


async def run(place: Place, body: Body, notices: Notices) -> None:
    """Call home every `place.every` seconds, through lost connections, until it was reset: then it is nobody's."""
    tls = await asyncio.to_thread(_tls, place)
    voice = HeartbeatVoice(body, max(1, round(place.every)), refuses=place.how.refuses)
    async with await asyncio.to_thread(
        httpx2.AsyncClient, verify=tls if tls is not None else False, trust_env=False, timeout=30.0
    ) as client:
        while not await _call(client, place, voice, notices):
            await _live(place, voice)
    notices.tell("unpaired")


async def _call(client: httpx2.AsyncClient, place: Place, voice: HeartbeatVoice, notices: Notices) -> bool:
    """One heartbeat; True where it was the last one."""
    await asyncio.sleep(place.how.slow)
    token = "dvt_not-the-token" if place.how.wrong_credential else place.secret
    beat = voice.beat()
    body = Random().randbytes(20) if place.how.babbles else encode(beat)  # noqa: S311 - noise, not secrets
    try:
        for _ in range(2 if place.how.twice else 1):
            answer = await client.post(
                place.url.rstrip("/") + PATH, content=body, headers={"Authorization": f"Bearer {token}"}
            )
    except (httpx2.HTTPError, OSError) as error:
        notices.tell("unlinked", code=str(error)[:100])
        return False
    if voice.wiped and answer.status_code in (httpx2.codes.OK, httpx2.codes.UNAUTHORIZED):
        return True
    if answer.status_code != httpx2.codes.OK:
        notices.tell("refused", status=answer.status_code)
        return False
    voice.said(beat)
    where = urlsplit(place.url)
    notices.tell("heartbeat", host=where.hostname, port=where.port)
    _hear(place, voice, notices, answer.content)
    return False


def _hear(place: Place, voice: HeartbeatVoice, notices: Notices, octets: bytes) -> None:
    try:
        heard: Heard = decode_heard(octets)
    except HeartbeatError as error:
        notices.tell("unlinked", code=error.code)
        return
    for order in [] if place.how.deaf else voice.hear(heard):
        if order.kind == "factory_reset":
            notices.tell("reset", by="hub")
        else:
            notices.tell("command", kind=order.kind, service=order.service)
    for what, details in voice.body.shown:
        notices.tell(what, **details)
    voice.body.shown.clear()


async def _live(place: Place, voice: HeartbeatVoice) -> None:
    """Until the next heartbeat is due."""
    if voice.wiped or voice.has_news:
        await asyncio.sleep(ANSWER_S)
        return
    chance = Random()  # noqa: S311 - weather, not secrets
    left = place.every
    while left > 0:
        step = min(place.tick, left)
        await asyncio.sleep(step)
        left -= step
        voice.changed(voice.body.tick(step, chance))


def _tls(place: Place) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=place.ca) if urlsplit(place.url).scheme == "https" else None
