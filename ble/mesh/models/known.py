"""Which models we can talk to: the servers' ids, the opcodes they understand, the kind of thing they make a device."""

from ble.mesh.access import Message
from ble.mesh.model_id import ModelId
from ble.mesh.models import battery, ctl, health, hsl, level, lightness, onoff, power, scene, sensor
from ble.mesh.wire import Table, WireMessage
from ble.mesh.wire import read as read_by

MESSAGES: Table = {
    **onoff.MESSAGES,
    **level.MESSAGES,
    **power.MESSAGES,
    **power.SETUP_MESSAGES,
    **lightness.MESSAGES,
    **lightness.SETUP_MESSAGES,
    **ctl.MESSAGES,
    **ctl.SETUP_MESSAGES,
    **ctl.TEMPERATURE_MESSAGES,
    **hsl.MESSAGES,
    **hsl.SETUP_MESSAGES,
    **hsl.HUE_MESSAGES,
    **hsl.SATURATION_MESSAGES,
    **scene.MESSAGES,
    **scene.SETUP_MESSAGES,
    **sensor.MESSAGES,
    **battery.MESSAGES,
    **health.MESSAGES,
}
"""Every model message but vendors', by opcode."""

SERVERS: frozenset[ModelId] = frozenset(
    (
        health.SERVER,
        onoff.SERVER,
        level.SERVER,
        power.SERVER,
        power.SETUP,
        lightness.SERVER,
        lightness.SETUP,
        ctl.SERVER,
        ctl.SETUP,
        ctl.TEMPERATURE,
        hsl.SERVER,
        hsl.SETUP,
        hsl.HUE,
        hsl.SATURATION,
        scene.SERVER,
        scene.SETUP,
        sensor.SERVER,
        sensor.SETUP,
        battery.SERVER,
    )
)
"""What is bound to the application key when a node is set up; vendors' models are as well."""


def read(message: Message) -> WireMessage | None:
    """The message by its class; None where it is a vendor's or not known. Raises Malformed."""
    return read_by(message, MESSAGES)


def is_bindable(model: ModelId) -> bool:
    """Whether we have use for an application key there: servers that we know, and every vendor's model."""
    return model.company is not None or model in SERVERS


def is_subscriber(model: ModelId) -> bool:
    """Whether a group makes sense there: what is switched and set, but not setup, health or battery."""
    setups = (power.SETUP, lightness.SETUP, ctl.SETUP, hsl.SETUP, scene.SETUP, sensor.SETUP)
    return is_bindable(model) and model not in (*setups, health.SERVER, battery.SERVER, sensor.SERVER)
