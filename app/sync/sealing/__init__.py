"""Secrets of a home, sealed before they are facts: what a cloud carries it cannot read (PROTOCOL.md 8)."""
