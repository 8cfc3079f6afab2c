"""The doctor's look at Bluetooth: as the running hub has it, or as a hub would find it."""

import asyncio
from typing import Any, Final

from app.commands.findings import Finding
from ble.bleak_radio import BleakRadio
from ble.radio import RadioState

LOOK_WITHIN: Final = 15.0
NEXT: Final = {
    "no_adapter": "plug in a Bluetooth adapter; without Bluetooth devices there is nothing to do",
    "powered_off": "bluetoothctl power on; if it stays off: rfkill unblock bluetooth",
    "no_dbus": "in a container: pass /run/dbus into it (docker run -v /run/dbus:/run/dbus:ro)",
    "not_permitted": "add the hub's user to the group bluetooth, or SupplementaryGroups=bluetooth to its unit",
    "no_daemon": "install bluez, then: systemctl enable --now bluetooth",
    "busy": "end the program that scans (bluetoothctl scan off), or wait until it is done",
    "failed": "unplug the adapter and plug it in again; journalctl -u bluetooth says more",
    "not_opened": "doorstep serve --lan, or --bluetooth on",
    "switched_off": "doorstep serve --bluetooth auto",
}


def of_hub(status: dict[str, Any]) -> Finding:
    """From what a running hub says of itself (its `bluetooth`)."""
    if status["usable"]:
        in_use = status["connections"]
        return Finding("Bluetooth", "ok", f"the hub uses it ({status['setting']}), {in_use} connections")
    if status["setting"].startswith("virtual:"):
        return Finding("Bluetooth", "bad", status["sentence"], "start the virtual air at that port")
    return _missing(status["reason"], status["sentence"], missed=status["missed"])


def of_machine() -> Finding:
    """From a short scan, where no hub runs that has the adapter."""
    state = asyncio.run(_look())
    if state is None:
        return Finding("Bluetooth", "note", "it does not answer in time", NEXT["failed"])
    if state.usable:
        return Finding("Bluetooth", "ok", "there is an adapter, and it hears")
    return _missing(state.reason, state.sentence, missed=False)


async def _look() -> RadioState | None:
    radio = BleakRadio()
    try:
        async with asyncio.timeout(LOOK_WITHIN):
            await radio.open()
            return radio.state
    except TimeoutError:
        return None
    finally:
        await radio.close()


def _missing(reason: str, sentence: str, *, missed: bool) -> Finding:
    return Finding("Bluetooth", "bad" if missed else "note", sentence, NEXT.get(reason, ""))
