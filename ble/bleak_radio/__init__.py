"""Real adapters: the only package that imports bleak. `BleakRadio` is a `ble.radio.Radio`."""

from ble.bleak_radio.radio import BleakRadio, Watch

__all__ = ["BleakRadio", "Watch"]
