"""Shares of single devices and groups with people outside the home."""
