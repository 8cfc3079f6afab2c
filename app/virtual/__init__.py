"""Virtual devices: the device's half of the protocol as a program, for people without hardware and for tests."""
