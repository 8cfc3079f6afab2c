"""What each kind of product does by itself: a lamp blinks, a thermostat drifts, a sensor senses."""

import json
from random import Random
from typing import Final

from app.devices.product.model import Product
from app.devices.product.values import Values
from app.virtual.body import Body

SAMPLE_EVERY = 10.0
"""Seconds between two measurements of a sensor."""
CURTAIN_SPEED = 20.0
"""Per cent a second."""
AUTO_LOCK_AFTER = 5.0
MAINS_VOLTAGE = 230.0
PLUGGED_IN_WATTS = 42.0
METER_STEP = 0.001
"""kWh: the least its model can say."""
ROOM_TEMPERATURE = 18.0
HYSTERESIS = 0.3


class Lamp(Body):
    """Lights, and blinks when it is told to."""

    def start(self) -> None:
        colour = json.dumps({"h": 0, "s": 0, "v": 1000}, separators=(",", ":"))
        self.values["light"] |= {"brightness": 1000, "temperature": 500, "colour": colour}

    def called(self, service: str, name: str, params: Values) -> None:
        self.show("blink", times=params.get("times", 1))


class Plug(Body):
    """Switches, and meters what flows."""

    def start(self) -> None:
        self.values["meter"]["voltage"] = MAINS_VOLTAGE

    def woken(self) -> None:
        self._unmetered = 0.0

    def was_set(self, service: str, values: Values) -> None:
        if "on" in values:
            self._flow(PLUGGED_IN_WATTS if values["on"] else 0.0)

    def called(self, service: str, name: str, params: Values) -> None:
        self.values["meter"]["energy"] = 0.0

    def passed(self, seconds: float, chance: Random) -> None:
        meter, on = self.values["meter"], self.values["outlet"]["on"]
        if not on and meter["power"]:
            self._flow(0.0)
        self._unmetered += float(meter["power"]) * seconds / 3_600_000
        if self._unmetered >= METER_STEP:
            meter["energy"] = round(float(meter["energy"]) + METER_STEP, 3)
            self._unmetered -= METER_STEP

    def _flow(self, watts: float) -> None:
        self.values["meter"] |= {"power": watts, "current": round(watts / MAINS_VOLTAGE * 1000)}


class Thermostat(Body):
    """Heats towards its target with a hysteresis, and cools towards the room's temperature."""

    def start(self) -> None:
        self.values["heating"] |= {"target": 20.0, "temperature": ROOM_TEMPERATURE, "valve": "close"}

    def woken(self) -> None:
        self._temperature = float(self.values["heating"]["temperature"])

    def was_set(self, service: str, values: Values) -> None:
        self._regulate()

    def passed(self, seconds: float, chance: Random) -> None:
        open_ = self.values["heating"]["valve"] == "open"
        drift = 0.05 if open_ else -0.01 if self._temperature > ROOM_TEMPERATURE else 0.0
        self._temperature += drift * seconds
        self.values["heating"]["temperature"] = round(self._temperature, 1)
        self._regulate()

    def _regulate(self) -> None:
        heating = self.values["heating"]
        missing = float(heating["target"]) - self._temperature if heating["on"] else -HYSTERESIS
        if missing >= HYSTERESIS:
            heating["valve"] = "open"
        elif missing <= -HYSTERESIS:
            heating["valve"] = "close"


class Curtain(Body):
    """Travels to where it was told to go, and says when it is there."""

    def woken(self) -> None:
        self._position = float(self.values["cover"]["position"])

    def was_set(self, service: str, values: Values) -> None:
        if "control" in values:
            self._go(str(values["control"]))
        elif "target" in values:
            self._work()

    def called(self, service: str, name: str, params: Values) -> None:
        self._go(name)

    def passed(self, seconds: float, chance: Random) -> None:
        cover = self.values["cover"]
        way = float(cover["target"]) - self._position
        step = min(abs(way), CURTAIN_SPEED * seconds)
        self._position += step if way > 0 else -step
        cover["position"] = round(self._position)
        self._work()

    def _go(self, where: str) -> None:
        here = round(self._position)
        self.values["cover"]["target"] = {"open": 100, "close": 0}.get(where, here)
        self._position = float(here) if where == "stop" else self._position
        self._work()

    def _work(self) -> None:
        way = float(self.values["cover"]["target"]) - self._position
        self.values["cover"]["work"] = "opening" if way > 0 else "closing" if way < 0 else "still"


class Lock(Body):
    """Locks and unlocks, and locks itself again where that is set."""

    def start(self) -> None:
        self.values["lock"]["locked"] = True
        self.values["battery"]["level"] = 90

    def woken(self) -> None:
        self._unlocked_for = 0.0

    def called(self, service: str, name: str, params: Values) -> None:
        self.values["lock"]["locked"] = name == "lock"
        self._unlocked_for = 0.0

    def passed(self, seconds: float, chance: Random) -> None:
        lock = self.values["lock"]
        self._unlocked_for = 0.0 if lock["locked"] else self._unlocked_for + seconds
        if lock["auto_lock"] and self._unlocked_for >= AUTO_LOCK_AFTER:
            lock["locked"] = True


class Sensor(Body):
    """Takes a sample every now and then."""

    def start(self) -> None:
        self.values["battery"]["level"] = 90

    def woken(self) -> None:
        self._since = 0.0

    def passed(self, seconds: float, chance: Random) -> None:
        self._since += seconds
        if self._since >= SAMPLE_EVERY:
            self._since = 0.0
            self.sample(chance)

    def sample(self, chance: Random) -> None:
        """Sense."""


class ClimateSensor(Sensor):
    """Temperature and humidity walk slowly."""

    def start(self) -> None:
        super().start()
        self.values["climate"] |= {"temperature": 21.0, "humidity": 45.0}

    def sample(self, chance: Random) -> None:
        climate = self.values["climate"]
        for name, least, most in (("temperature", 16.0, 27.0), ("humidity", 30.0, 70.0)):
            walked = float(climate[name]) + chance.choice((-0.2, -0.1, 0.0, 0.1, 0.2))
            climate[name] = round(min(max(walked, least), most), 1)


class ContactSensor(Sensor):
    """A door that somebody opens and closes now and then."""

    def sample(self, chance: Random) -> None:
        if chance.random() < 0.3:
            self.values["contact"]["open"] = not self.values["contact"]["open"]


class MotionSensor(Sensor):
    """Somebody walks by now and then."""

    def start(self) -> None:
        super().start()
        self.values["motion"] |= {"state": "none", "illuminance": 120, "hold": 60}

    def sample(self, chance: Random) -> None:
        self.values["motion"]["state"] = "pir" if chance.random() < 0.3 else "none"


KINDS: Final[dict[str, type[Body]]] = {
    "lamp": Lamp,
    "plug": Plug,
    "thermostat": Thermostat,
    "curtain": Curtain,
    "lock": Lock,
    "climate_sensor": ClimateSensor,
    "contact_sensor": ContactSensor,
    "motion_sensor": MotionSensor,
}


def body_of(product: Product) -> Body:
    """A body of this product; one without a kind of its own holds what is set."""
    return KINDS.get(product.id, Body)(product)
