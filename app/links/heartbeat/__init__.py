"""Devices that only call home now and then."""
