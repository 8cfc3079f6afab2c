"""The models: for each a codec, what a client says, and a server's state machine (Mesh Model 1.1)."""
