"""How a virtual node misbehaves, by name."""

from enum import StrEnum

from ble.mesh.provisioning.faults import Fault


class NodeFault(StrEnum):
    """What is wrong with it once it is a node."""

    SILENT = "silent"
    """It hears and does everything, and says nothing."""
    SLOW = "slow"
    """It answers after `SLOW_S`."""
    IGNORES_RESET = "ignores_reset"
    """It stays in the network when it is told to leave it."""
    RESETS_SILENTLY = "resets_silently"
    """It forgets its keys before it could answer, as most do."""
    DROPS_ON_DATA = "drops_on_data"
    """It ends the connection when it is handed the provisioning data: nobody knows whether it is a node."""


SLOW_S = 5.0

AnyFault = Fault | NodeFault


def named(name: str) -> AnyFault | None:
    """The fault of that name; None for the empty one. Raises ValueError."""
    if not name:
        return None
    return Fault(name) if name in set(Fault) else NodeFault(name)
