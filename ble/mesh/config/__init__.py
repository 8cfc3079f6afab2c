"""The Configuration models (MshPRT 1.1, 4.3.2 and 4.4): messages, their refusals, and a server."""
