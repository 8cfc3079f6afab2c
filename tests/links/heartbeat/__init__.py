"""Devices that call home."""
