"""Hubs and their cloud stay the same: see PROTOCOL.md."""
