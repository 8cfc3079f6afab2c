"""Why a device did not become a node of the home's Bluetooth mesh."""

from pairing.session.cause import Cause

MESH = (
    Cause(
        code="other_device",
        recognised="the person said that the device that drew attention is not the one meant",
        text="The device that blinked is not the one you want to add.",
        next_step="choose_another",
    ),
    Cause(
        code="mesh_code_needed",
        recognised="the device takes no provisioner without a secret of its label or display, and none was given",
        text="This device needs the code on its label.",
        next_step="check_code",
    ),
    Cause(
        code="mesh_code_unfit",
        recognised="the static OOB value given is not 16 or 32 octets in hex",
        text="The code of a mesh device has 32 or 64 hex digits.",
        next_step="check_code",
        retryable=False,
    ),
    Cause(
        code="mesh_dishonest",
        recognised="the device sent back what the hub had sent, or a key that is no point of the curve",
        text="The device behaves as only an attacker would.",
        next_step="keep_out",
        retryable=False,
    ),
    Cause(
        code="mesh_not_back",
        recognised="the device has its keys, and no proxy of the mesh was heard within 20 s",
        text="The device was taken into the mesh, but is not heard there.",
        next_step="move_closer",
    ),
    Cause(
        code="mesh_refused",
        recognised="the node answered its configuration with an error",
        text="The device refused its settings ({reason}).",
        next_step="reset_device",
    ),
    Cause(
        code="mesh_full",
        recognised="the mesh has no unicast addresses left for so many elements",
        text="The mesh has no addresses left.",
        next_step="ask_admin",
        retryable=False,
    ),
    Cause(
        code="mesh_busy",
        recognised="the keys of the home's mesh are being changed, or another device is being added to it",
        text="The mesh is busy with something else right now.",
        next_step="try_again",
    ),
)
