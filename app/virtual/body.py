"""What a virtual device is made of: the values of its product, and how they change. Pure; time and chance come in."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Any, TypeAlias

from app.devices.product.model import Bool, Enum, Float, Int, Json, Product, Property, Service, String
from app.devices.product.values import Value, Values, ValueUnfit, check, check_call, check_set

Changes: TypeAlias = dict[str, Values]
"""New values by property, by service."""

COUNTDOWN_SHOWN_EVERY = 10
"""Seconds between two reports of a running countdown."""


class Body:
    """A device that holds what is set, and counts its countdowns down. `kinds` add what a product does by itself."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.values: Changes
        self.shown: list[tuple[str, dict[str, Any]]] = []
        self._countdowns: dict[str, float]
        self.wake({})

    def wake(self, kept: Changes) -> None:
        """Power on, with the values it kept; without any it is as new. What no longer fits the product is left out."""
        self.values = {s.id: {p.id: _initial(p) for p in s.properties} for s in self.product.services}
        self.start()
        for service, values in kept.items():
            for name, value in values.items():
                with suppress(ValueUnfit):
                    self.values[service][name] = self._fitting(service, name, value, on_step=False)
        held = {service: values.get("countdown", 0) for service, values in self.values.items()}
        self._countdowns = {service: float(seconds) for service, seconds in held.items() if seconds}
        self.woken()

    def kept(self) -> Changes:
        """What survives a power loss: `wake` takes it back."""
        return {service: dict(values) for service, values in self.values.items()}

    def start(self) -> None:
        """The values of one that is new."""

    def woken(self) -> None:
        """Take up what the values say."""

    def was_set(self, service: str, values: Values) -> None:
        """Do what follows from values that have just been set."""

    def called(self, service: str, name: str, params: Values) -> None:
        """Do a command of the product."""

    def passed(self, seconds: float, chance: Random) -> None:
        """Do what happens by itself in that time."""

    def readable(self, service: str) -> Values:
        """What is reported of a service."""
        model = self.product.service(service)
        if model is None:
            return {}
        return {p.id: self.values[service][p.id] for p in model.properties if p.access.readable}

    def set(self, service: str, values: Mapping[str, Any]) -> Changes:
        """Set properties; returns all that is different now. Raises ValueUnfit."""
        fitting = check_set(self._service(service), values)
        return self._changes(lambda: self._take(service, fitting))

    def call(self, service: str, name: str, params: Mapping[str, Any]) -> Changes:
        """Do a command; returns all that is different now. Raises ValueUnfit."""
        fitting = check_call(self._service(service), name, params)
        return self._changes(lambda: self.called(service, name, fitting))

    def put(self, service: str, values: Mapping[str, Any]) -> Changes:
        """What somebody at the device does to it: also what no hub may set (a door is opened). Raises ValueUnfit."""
        fitting = {name: self._fitting(service, name, value) for name, value in values.items()}
        return self._changes(lambda: self._take(service, fitting))

    def _fitting(self, service: str, name: str, value: Any, *, on_step: bool = True) -> Value:
        if (field := self._service(service).property(name)) is None:
            raise ValueUnfit(f"{service} has no property {name!r}")
        return check(field, value, on_step=on_step)

    def tick(self, seconds: float, chance: Random) -> Changes:
        """Let that time pass; returns all that is different now."""

        def pass_time() -> None:
            self._count_down(seconds)
            self.passed(seconds, chance)

        return self._changes(pass_time)

    def show(self, what: str, **details: Any) -> None:
        """Something a person beside the device sees (a blink)."""
        self.shown.append((what, details))

    def _service(self, service: str) -> Service:
        if (model := self.product.service(service)) is None:
            raise ValueUnfit(f"{self.product.id} has no service {service!r}")
        return model

    def _take(self, service: str, values: Values) -> None:
        self.values[service].update(values)
        if "countdown" in values:
            self._countdowns[service] = float(values["countdown"])
        self.was_set(service, values)

    def _count_down(self, seconds: float) -> None:
        running = {service: left - seconds for service, left in self._countdowns.items() if left > 0}
        for service, left in running.items():
            values = self.values[service]
            if left <= 0:
                values |= {"countdown": 0, "on": not values["on"]}
            elif int(left) % COUNTDOWN_SHOWN_EVERY == 0:
                values["countdown"] = int(left)
        self._countdowns = running

    def _changes(self, act: Callable[[], None]) -> Changes:
        before = self.kept()
        act()
        after = {service: self.readable(service) for service in self.values}
        changed = {s: {k: v for k, v in values.items() if before[s][k] != v} for s, values in after.items()}
        return {service: values for service, values in changed.items() if values}


def _initial(field: Property) -> Value:
    match field:
        case Bool():
            return False
        case Int():
            return min(max(field.min, 0), field.max)
        case Float():
            return float(min(max(field.min, 0.0), field.max))
        case Enum():
            return field.values[0]
        case String():
            return ""
        case Json():
            return "{}"
