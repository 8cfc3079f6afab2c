"""The pairing session: a durable record of one attempt to bring devices into a home."""
