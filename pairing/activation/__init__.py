"""Activation: hub and device prove themselves to each other, then the device is handed over (PROTOCOL.md, 4)."""

from pairing.activation.device import device_talk
from pairing.activation.hub import hub_talk
from pairing.activation.messages import Activated, Offer

__all__ = ["Activated", "Offer", "device_talk", "hub_talk"]
