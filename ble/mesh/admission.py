"""A device is given its place in a network: what a provisioner answers to `Assign` (pure; saving is the caller's)."""

from ble.mesh.provisioning.data import IV_UPDATE, KEY_REFRESH, ProvisioningData
from ble.mesh.provisioning.talk import Assign
from ble.mesh.state import MeshState, NodeRow


def admit(state: MeshState, uuid: bytes, wanted: Assign) -> ProvisioningData:
    """Its addresses, and the node in `state`, to be saved before anything is handed over. Raises NoAddressLeft.

    A device that was a node of this network before, and has forgotten it, gets other addresses: others would take what
    it says for a replay.
    """
    for known in [node.address for node in state.nodes.values() if node.uuid == uuid]:
        state.remove_node(known)
    unicast = state.free_address(wanted.elements)
    key = state.net_keys[min(state.net_keys)]
    state.add_node(
        NodeRow(
            uuid=uuid,
            address=unicast,
            elements=wanted.elements,
            device_key=wanted.device_key,
            net_keys=[key.index],
        )
    )
    return ProvisioningData(
        net_key=key.sending,
        net_key_index=key.index,
        flags=KEY_REFRESH * (key.phase == 2) | IV_UPDATE * state.iv.updating,
        iv_index=state.iv.index,
        unicast=unicast,
    )
