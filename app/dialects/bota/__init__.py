"""Bota's device API, as far as its page of the factory reset describes it."""
