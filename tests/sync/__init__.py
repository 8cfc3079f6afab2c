"""Hubs and their cloud."""
