"""Radios and Bluetooth Mesh; imports nothing of ours."""
