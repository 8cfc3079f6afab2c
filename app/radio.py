"""The hub's Bluetooth, as its setting has it: an adapter's, a virtual one, or none with the reason why."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

from app.errors import Unavailable
from app.settings import Settings, virtual_port
from ble.absence import SWITCHED_OFF
from ble.bleak_radio import BleakRadio
from ble.no_radio import NoRadio
from ble.radio import Radio, RadioState

if TYPE_CHECKING:
    from ble.virtual.radio import VirtualRadio

OPEN_WITHIN: Final = 5.0
"""Seconds a hub's start waits for its radio: an adapter that takes longer is taken up when it is there."""
THIS_MACHINE_ONLY: Final = RadioState(
    False, "not_opened", "The hub was opened to this machine only; start it with --lan, or with --bluetooth on."
)
IN_THE_CLOUD: Final = RadioState(False, "no_adapter", "A cloud node has no Bluetooth; its hubs have.")
_log = structlog.get_logger("doorstep.radio")


class VirtualBluetoothMissing(Unavailable):
    """The program that virtual Bluetooth needs is not installed."""

    code = "virtual_bluetooth_missing"
    hint = "pip install 'doorstep[virtual]', or set bluetooth to auto."


@asynccontextmanager
async def opened_radio(settings: Settings) -> AsyncIterator[Radio]:
    """The radio of a hub with these settings, for as long as the context lasts. Raises VirtualBluetoothMissing."""
    radio = await _radio(settings)
    stop = radio.on_state(lambda state: _tell(state, missed=is_missed(settings)))
    opening = asyncio.create_task(radio.open(), name="open radio")
    try:
        await asyncio.wait((opening,), timeout=OPEN_WITHIN)
        yield radio
    finally:
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await opening
        stop()
        await radio.close()


def is_missed(settings: Settings) -> bool:
    """Whether somebody counts on Bluetooth, so that its absence is a fault."""
    return settings.role == "hub" and settings.bluetooth not in ("off", "auto")


def told_state(radio: Radio, settings: Settings) -> dict[str, Any]:
    """How it is, for people and programs."""
    state = radio.state
    return {
        "setting": settings.bluetooth,
        "usable": state.usable,
        "reason": state.reason,
        "sentence": state.sentence,
        "missed": is_missed(settings) and not state.usable,
        "connections": radio.in_use,
    }


async def _radio(settings: Settings) -> Radio:
    if settings.role == "cloud":
        return NoRadio(IN_THE_CLOUD)
    if settings.bluetooth == "off":
        return NoRadio(SWITCHED_OFF)
    if settings.bluetooth == "auto" and not settings.lan:
        return NoRadio(THIS_MACHINE_ONLY)
    if (port := virtual_port(settings.bluetooth)) is not None:
        return (await asyncio.to_thread(_virtual_radio))(port)
    return BleakRadio()


def _virtual_radio() -> "type[VirtualRadio]":
    # Here, because bumble is an extra: a hub that was not told to use virtual Bluetooth runs without it.
    try:
        from ble.virtual.radio import VirtualRadio  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise VirtualBluetoothMissing(str(error)) from error
    return VirtualRadio


def _tell(state: RadioState, *, missed: bool) -> None:
    if state.usable:
        _log.info("bluetooth is in use")
    else:
        (_log.warning if missed else _log.info)("there is no bluetooth", reason=state.reason, told=state.sentence)
