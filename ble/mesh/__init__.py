"""Bluetooth Mesh (Mesh Protocol 1.1, with 1.0.1 peers): everything but the radio."""
