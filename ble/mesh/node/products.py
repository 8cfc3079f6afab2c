"""What nodes are made of: lamps whose models move together, sockets, and sensors (Mesh Model 1.1, 6.1.2.2)."""

from collections.abc import Callable

from msgspec import Struct

from ble.mesh.config.composition import Features
from ble.mesh.model_id import ModelId
from ble.mesh.models import battery, ctl, health, hsl, level, lightness, onoff, power, scene, sensor, vendor
from ble.mesh.models.conversions import level_of, lightness_of, temperature_level, temperature_of, within
from ble.mesh.models.transition import Course, Transition, towards
from ble.mesh.node.elements import AnyServer, Element, element

COMPANY = 0xFFFF
"""The id that is kept for tests and internal use (Assigned Numbers, 7.1)."""

States = Course[tuple[int, ...]]


class Product(Struct, frozen=True, kw_only=True):
    """What a node is: its elements, the first of which has the health server."""

    elements: list[Element]
    health: health.HealthServer
    company: int = COMPANY
    product: int = 1
    version: int = 1
    features: int = Features.RELAY | Features.PROXY


class Lamp:
    """A dimmable light: on and off, level and lightness are one state."""

    def __init__(self) -> None:
        self.onoff = onoff.OnOffServer()
        self.level = level.LevelServer(level.LOWEST)
        self.lightness = lightness.LightnessServer()
        self.power = power.PowerOnOffServer()
        self.scenes = scene.SceneServer(self._take, self._put)

    def sync(self, told: AnyServer, now: float) -> None:
        """After one of them was spoken to."""
        light = self.lightness
        if told is self.onoff:
            self._switch()
        elif told is self.level:
            light.course = _each(self.level.course, lambda value: within(lightness_of(value), light.low, light.high))
            light.last = light.course.target[0] or light.last
        self.level.course = _each(light.course, level_of)
        self.onoff.course = _each(light.course, lambda value: int(value > 0))

    def _switch(self) -> None:
        asked, light = self.onoff.course, self.lightness
        target = (light.default or light.last) if asked.target[0] else 0
        light.course = Course(light.course.at(asked.begins), (target,), asked.begins, asked.ends)

    def _take(self, now: float) -> scene.Snapshot:
        return {"lightness": self.lightness.course.at(now)}

    def _put(self, kept: scene.Snapshot, how: Transition | None, now: float) -> None:
        self.lightness.course = towards(self.lightness.course, kept["lightness"], how, now)

    @property
    def servers(self) -> tuple[AnyServer, ...]:
        return (
            self.onoff,
            self.level,
            self.power,
            power.PowerOnOffSetupServer(self.power),
            self.lightness,
            lightness.LightnessSetupServer(self.lightness),
            self.scenes,
            scene.SceneSetupServer(self.scenes),
        )


class Warmth:
    """A colour temperature and the level it is bound to (6.1.3.1.1)."""

    def __init__(self) -> None:
        self.temperature = ctl.TemperatureServer()
        self.level = level.LevelServer()
        self.sync(self.temperature, 0.0)

    def sync(self, told: AnyServer, now: float) -> None:
        """After one of them was spoken to, or the CTL server beside them."""
        warmth = self.temperature
        low, high = warmth.low, warmth.high
        if told is self.level:
            kelvin = _each(self.level.course, lambda value: temperature_of(value, low, high))
            delta_uv = warmth.course.at(now)[1]
            start, target = (*kelvin.start, delta_uv), (*kelvin.target, delta_uv)
            warmth.course = Course(start, target, kelvin.begins, kelvin.ends)
        else:
            course = warmth.course
            kelvins = Course(course.start[:1], course.target[:1], course.begins, course.ends)
            self.level.course = _each(kelvins, lambda value: temperature_level(value, low, high))


def _each(course: States, change: Callable[[int], int]) -> States:
    start, target = (tuple(map(change, values)) for values in (course.start, course.target))
    return Course(start, target, course.begins, course.ends)


def dimmable() -> Product:
    """A white lamp of one colour, with a vendor's model that echoes."""
    lamp, well = Lamp(), health.HealthServer(COMPANY)
    echo = vendor.VendorServer(ModelId(1, COMPANY), vendor.echo(2))
    return Product(elements=[element(well, *lamp.servers, echo, primary=True, sync=lamp.sync)], health=well)


def tunable() -> Product:
    """A white lamp whose colour temperature is on a second element, with a level of its own."""
    lamp, well, warmth = Lamp(), health.HealthServer(COMPANY), Warmth()
    white = ctl.CtlServer(lamp.lightness, warmth.temperature)

    def sync(told: AnyServer, now: float) -> None:
        lamp.sync(told, now)
        warmth.sync(white, now)

    first = element(well, *lamp.servers, white, ctl.CtlSetupServer(white), primary=True, sync=sync)
    return Product(
        elements=[first, element(warmth.temperature, warmth.level, sync=warmth.sync)], health=well, product=2
    )


def coloured() -> Product:
    """A lamp of any colour: hue and saturation are on elements of their own."""
    lamp, well = Lamp(), health.HealthServer(COMPANY)
    hue, saturation = hsl.HueServer(), hsl.SaturationServer()
    all_three = hsl.HslServer(lamp.lightness, hue, saturation)
    servers = (well, *lamp.servers, all_three, hsl.HslSetupServer(all_three))
    first = element(*servers, primary=True, sync=lamp.sync)
    return Product(elements=[first, element(hue), element(saturation)], health=well, product=3)


def sockets(count: int) -> Product:
    """That many switched sockets, one to an element."""
    well = health.HealthServer(COMPANY)
    first = element(well, onoff.OnOffServer(), primary=True)
    return Product(elements=[first, *(element(onoff.OnOffServer()) for _ in range(count - 1))], health=well, product=4)


def thermometer() -> Product:
    """Temperature and humidity, from a battery."""
    well = health.HealthServer(COMPANY)
    sensors = sensor.SensorServer({0x0056: 21.0, 0x00A7: 45.0})
    cell = battery.BatteryServer(battery.Battery(level=90, charging=battery.Charging.DISCHARGING))
    first = element(well, sensors, cell, primary=True)
    return Product(elements=[first], health=well, product=5, features=Features.PROXY)
