"""Improv Wi-Fi over Bluetooth LE, revisions 1.0 to 2.4 (improv-wifi.com/ble): a device is told its network."""
