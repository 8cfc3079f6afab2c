"""Products and devices: what a kind of device can do, and the devices of a home with what they say they are."""
