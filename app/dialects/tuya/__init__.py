"""Tuya's cloud API, so that what is written against it works against this hub."""
