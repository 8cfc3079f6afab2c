"""Hubs enrol with a cloud by a code, prove themselves to it by a key pair, and are listed and revoked there."""
