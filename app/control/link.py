"""What control asks of the links, which it knows by name only."""

from typing import Protocol

from app.control.model import Command


class Link(Protocol):
    """A way to reach devices, by their ids."""

    def is_online(self, device_id: str) -> bool:
        """Whether a command handed over now goes out now."""

    def send(self, device_id: str, command: Command) -> bool:
        """Hand over without waiting, in order; False when the device cannot be reached (any more).

        The same command may come again: a device does each id once.
        """
