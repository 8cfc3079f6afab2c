"""Nodes that have left their home: told to forget the network; where they do not answer, its keys are changed."""

import asyncio
import secrets

import structlog

from ble.adverts import Unprovisioned, kind_or_unknown
from ble.mesh.client import MeshClient
from ble.mesh.configure import Enter, Phase, Refreshed, refresh, reset
from ble.mesh.crypto import KEY_SIZE
from ble.mesh.keyring import revoke_old
from ble.mesh.procedures import carry_out
from ble.radio import Advertisement, Radio

HEARD_WITHIN_S = 3.0
"""A node that has forgotten its network says so several times a second."""
_log = structlog.get_logger("doorstep.mesh")


async def told_to_forget(
    client: MeshClient, radio: Radio, address: int, uuid: bytes, within: float = HEARD_WITHIN_S
) -> None:
    """Reset a node. Raises Unanswered where it is not heard, or goes on being a node."""

    async def is_gone(_: int) -> bool:
        return await heard_unprovisioned(radio, uuid, within)

    await carry_out(reset(address), client, is_gone=is_gone)


async def heard_unprovisioned(radio: Radio, uuid: bytes, within: float) -> bool:
    """Whether this device says that it belongs to no network."""
    heard = asyncio.Event()

    def hear(advertisement: Advertisement) -> None:
        kind = kind_or_unknown(advertisement)
        if isinstance(kind, Unprovisioned) and kind.device_uuid == uuid:
            heard.set()

    stop = radio.listen(hear)
    try:
        async with asyncio.timeout(within):
            return await heard.wait()
    except TimeoutError:
        return False
    finally:
        stop()


async def shut_out(client: MeshClient, address: int) -> Refreshed:
    """Change the network's keys under all nodes but this one. Raises SomeAway, and may be called again then.

    Begun once it is gone on with: the keys that are handed out are on disk before the first node has them.
    """
    state = client.state
    client.avoid(address)  # what it does not have the keys for, it does not carry
    index = min(state.net_keys)
    net = state.net_keys[index]
    bound = [key for key in state.app_keys.values() if key.net_index == index]
    apps = {key.index: key.new_key or secrets.token_bytes(KEY_SIZE) for key in bound}
    new = net.new_key or secrets.token_bytes(KEY_SIZE)

    async def enter(step: Enter) -> None:
        await _enter(client, step.phase, index, new, apps)

    staying = [node.address for node in state.nodes.values() if node.address != address]
    done = await carry_out(refresh(index, new, apps, staying, patient=True), client, on_enter=enter)
    _log.info("the keys of a mesh were changed", nodes=len(done.done), late=len(done.late))
    return done


async def _enter(client: MeshClient, phase: Phase, index: int, new: bytes, apps: dict[int, bytes]) -> None:
    net = client.state.net_keys[index]
    if phase is Phase.DISTRIBUTE and net.phase == 0:
        net.begin(new)
        for app_index, key in apps.items():
            client.state.app_keys[app_index].new_key = key
    elif phase is Phase.USE_NEW:
        net.use_new()
    elif phase is Phase.REVOKE_OLD:
        revoke_old(client.state, index)
    await client.save()
    if phase is not Phase.DISTRIBUTE:
        client.announce(index)
