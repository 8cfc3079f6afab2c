"""Bota's device API."""
