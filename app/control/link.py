"""What control asks of the links, which it knows by name only, and what it promises them of delivery.

The contract. A command comes to its device in the order in which it was asked for, under one id, and never once it has
expired. On the wire it comes **at least once**: again on each new link, and to each that fetches (`Control.take`),
until the device has acknowledged it or it has ended; never after that, also over restarts of the hub. At the device it
is done **once by its id**: a device that remembers ids (the Doorstep link: the last 64, of which at most
`dispatch.WINDOW` are unacknowledged at a time; see pairing/PROTOCOL.md) does not do again what it has done, and answers
as before.

Who cannot acknowledge, or does not remember, is given each command **at most once**: handing it out counts as the
acknowledgement. At MQTT's QoS 0 nobody says more; `Control.take` has `remembers=False`, and has it on disk before.

What is acknowledged and never answered ends by its expiry, where everybody sees it. What is not on disk when a hub is
killed is what it could not know: that a command was sent, or acknowledged over a link that does not wait for it
(PUBACK). It is sent again under its id.
"""

from collections.abc import Collection
from typing import Protocol

from app.control.model import Command, Kind


class Link(Protocol):
    """A way to send to devices, by their ids. One that says `Control.acknowledged` of a command is sent it no more."""

    @property
    def carries(self) -> Collection[Kind]:
        """What it can tell devices at all. Other things are refused when they are asked for, and never handed over."""

    def is_online(self, device_id: str) -> bool:
        """Whether a command handed over now goes out now; asked on the event loop and in the writer's thread."""

    def send(self, device_id: str, command: Command) -> bool:
        """Hand over without waiting, in order; False when the device cannot be reached (any more).

        Of a message False may also mean that the device does not listen to its topic: what follows it goes on.
        The same command may come again: see the contract.
        """
