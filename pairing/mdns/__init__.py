"""Browsing for devices and hubs, and announcing them, by multicast DNS (RFC 6762). The only importer of zeroconf.

zeroconf's sockets, cache and responder are used, not its browser: that one remembers every name it ever heard for as
long as the announcer likes, and does not say when somebody was heard again.
"""

from pairing.announcement import (
    DEVICE_SERVICE,
    HUB_SERVICE,
    Announcement,
    Gone,
    HubAnnouncement,
    Service,
    device_service,
    hub_service,
    parse_device,
    parse_hub,
)
from pairing.browser import Browser
from pairing.interfaces import LOOPBACK, Interfaces, own_addresses
from pairing.mdns.announcer import Announcer, announcing
from pairing.mdns.hearing import browse_devices, browse_hubs, browsing

__all__ = [
    "DEVICE_SERVICE",
    "HUB_SERVICE",
    "LOOPBACK",
    "Announcement",
    "Announcer",
    "Browser",
    "Gone",
    "HubAnnouncement",
    "Interfaces",
    "Service",
    "announcing",
    "browse_devices",
    "browse_hubs",
    "browsing",
    "device_service",
    "hub_service",
    "own_addresses",
    "parse_device",
    "parse_hub",
]
