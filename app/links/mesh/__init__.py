"""Bluetooth mesh as a link: a network for each home, its nodes as devices."""
