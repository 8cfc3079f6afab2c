"""Devices that speak IoTDA's protocol."""
