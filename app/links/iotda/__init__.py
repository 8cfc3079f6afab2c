"""Devices that speak IoTDA's device protocol: over MQTT and over HTTPS (specs/iotda, chapters 2 and 3)."""
