"""EZ pairing: Wi-Fi credentials as lengths and group addresses of datagrams, which a device overhears.

Encoders (`tuya`, `esptouch1`, `esptouch2`, `airkiss`; `encodings` has them by name) turn credentials into datagrams.
`monitor` is the device's half: it hears frames and knows nothing of the encoders. Sockets are in `sender` and in
`answers`.
"""
