"""The method of BTHome sensors: they only advertise, so that adding one is to listen to it, and to keep its key.

A sensor is paired only where it is asked for by its id: those of neighbours are heard as well.
"""

import asyncio
from contextlib import AbstractContextManager, suppress

from msgspec import Struct

from ble.adverts import BTHome, kind_or_unknown
from ble.bthome import Sensor, points_of
from ble.bthome_kinds import Point, measures_of
from ble.errors import Malformed, WrongKey
from ble.radio import Advertisement, Radio
from pairing.methods.method import AttemptContext, Context, Follows, Input, MethodFailedError, SearchContext
from pairing.methods.on_air import demand_radio, listening
from pairing.session.states import Candidate
from pairing.text import clean

NAME = "bthome"
DECIPHERED, IN_CLEAR = "bind-key", "unproven"
"""What a sensor is trusted as: one whose key deciphers it, and one that anybody can speak for."""
WRONG_TRIES = 3
"""Advertisements that do not decipher, after which the key is taken to be wrong: others can send such a one."""


class SensorPatience(Struct, frozen=True):
    """Seconds: to hear a sensor, which may sleep for a minute; and then to hear all that it tells by turns."""

    hearing: float = 120.0
    gathering: float = 10.0


class JoinedSensor(Struct, frozen=True):
    """What is registered of a sensor: what it measures, its key, and the last counter that was accepted with that."""

    device_id: str
    name: str
    measures: tuple[int, ...]
    key: bytes | None
    counter: int
    trust: str

    def __repr__(self) -> str:
        return f"JoinedSensor(device_id={self.device_id!r}, measures={self.measures!r})"


class BTHomeSensors:
    """A `Method` over `radio`."""

    name = NAME
    follows: Follows | None = None
    inputs: tuple[Input, ...] = (Input(name="sensor"), Input(name="bind_key", secret=True, optional=True))

    def __init__(self, radio: Radio, *, patience: SensorPatience | None = None) -> None:
        self._radio = radio
        self._patience = patience or SensorPatience()

    async def search(self, context: SearchContext) -> None:
        demand_radio(self._radio)
        with _listening(self._radio, context) as heard:
            await context.ready()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience.hearing):
                    await context.heard(_candidate(await heard.get()))
                    await asyncio.Event().wait()  # until the session needs none any more

    async def attempt(self, context: AttemptContext) -> None:
        key = _key(context)
        sensor, wrong, said = Sensor(key), 0, list[list[Point]]()
        name = context.candidate.name
        with _listening(self._radio, context) as heard:
            await context.note("listening_to_sensor", address=context.candidate.addresses[0])
            loop = asyncio.get_running_loop()
            ends = loop.time() + self._patience.hearing
            with suppress(TimeoutError):
                async with asyncio.timeout_at(ends) as limit:
                    while True:
                        advertisement = await heard.get()
                        name = clean(advertisement.name) or name
                        wrong += (points := _points(sensor, advertisement, key, loop.time())) is None
                        if wrong >= WRONG_TRIES and not said:
                            raise MethodFailedError("bind_key_wrong")
                        if points:
                            said.append(points)
                            if len(said) == 1:
                                limit.reschedule(min(ends, loop.time() + self._patience.gathering))
        if not (measures := measures_of(said)):
            raise MethodFailedError("bind_key_wrong" if wrong else "sensor_unheard")
        trust = IN_CLEAR if key is None else DECIPHERED
        await context.join(JoinedSensor(context.candidate.id, name, measures, key, sensor.counter, trust))


def id_of(address: str) -> str:
    """The id of a device that has none of its own: it lasts as long as its address."""
    return f"ble-{address.replace(':', '').lower()}"


def _listening(radio: Radio, context: Context) -> AbstractContextManager[asyncio.Queue[Advertisement]]:
    """What the wanted sensor advertises, while the context lasts."""
    wanted = context.request.inputs["sensor"]
    return listening(radio, lambda each: id_of(each.address) == wanted and _kind(each) is not None)


def _kind(advertisement: Advertisement) -> BTHome | None:
    kind = kind_or_unknown(advertisement)
    return kind if isinstance(kind, BTHome) else None


def _candidate(advertisement: Advertisement) -> Candidate:
    address = clean(advertisement.address)
    return Candidate(id=id_of(address), method=NAME, name=clean(advertisement.name), addresses=(address,))


def _points(sensor: Sensor, advertisement: Advertisement, key: bytes | None, now: float) -> list[Point] | None:
    """What it tells; None of what does not decipher. Raises MethodFailedError where a key is needed."""
    kind = _kind(advertisement)
    if kind is not None and kind.encrypted and key is None:
        raise MethodFailedError("bind_key_needed")
    try:
        heard = sensor.hear(advertisement, now)
    except WrongKey:
        return None
    except Malformed:
        return []
    return [] if heard is None else points_of(heard)


def _key(context: Context) -> bytes | None:
    given = context.secrets.get("bind_key")
    return None if given is None else bytes.fromhex(given)
