"""The ways a device can be brought in: one module a method, behind one Protocol."""
