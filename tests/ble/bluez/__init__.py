"""A fake org.bluez: what BlueZ's D-Bus API is to bleak, backed by a bumble host on a virtual air.

It is held to what real bluetoothd 5.66 was recorded to answer (specs/ble/notes.md, 1.2; `test_recorded.py`).
"""
