"""Groups of devices in a home, with members and rights of their own, controlled as one."""
