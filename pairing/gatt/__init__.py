"""Conversations over Bluetooth LE: Doorstep's own GATT service, and what the radio's failures are called here."""
