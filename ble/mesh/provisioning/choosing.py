"""Which of what a device offers is taken: the algorithm, and how it is proved that nobody stands between."""

from collections.abc import Iterator

from msgspec import Struct

from ble.mesh.provisioning.errors import NoCommonMethod
from ble.mesh.provisioning.pdus import CMAC, HMAC, Capabilities, InputAction, Method, OobType, OutputAction, Start

MAX_SIZE = 8


class Choice(Struct, frozen=True, kw_only=True):
    """What the provisioner has: secrets of the device's label, a person at hand, and whether it may do without.

    `static` has 16 or 32 octets, `public_key` is the device's point. With `authenticated`, No OOB is never taken.
    """

    static: bytes | None = None
    public_key: bytes | None = None
    person: bool = False
    authenticated: bool = False


def start(offered: Capabilities, choice: Choice) -> Start:
    """HMAC before CMAC; static before output before input before No OOB. Raises NoCommonMethod."""
    algorithm = next((number for number in (HMAC, CMAC) if offered.algorithms >> number & 1), None)
    if algorithm is None:
        raise NoCommonMethod(f"algorithms {offered.algorithms:#06x}")
    with_key = offered.public_key_oob and choice.public_key is not None
    for method, action, size in _methods(offered, choice):
        return Start(algorithm, with_key, method, action, size)
    raise NoCommonMethod("no way of authentication is possible at both ends")


def _methods(offered: Capabilities, choice: Choice) -> Iterator[tuple[Method, int, int]]:
    if choice.static is not None and offered.oob_type & OobType.STATIC:
        yield Method.STATIC, 0, 0
    if choice.person and (output := _action(offered.output_actions, offered.output_size, _OUTPUT)) is not None:
        yield Method.OUTPUT, output, min(offered.output_size, MAX_SIZE)
    if choice.person and (entered := _action(offered.input_actions, offered.input_size, _INPUT)) is not None:
        yield Method.INPUT, entered, min(offered.input_size, MAX_SIZE)
    if not (choice.authenticated or offered.oob_type & OobType.ONLY_AUTHENTICATED):
        yield Method.NO_OOB, 0, 0


# The more a value can be, the harder it is guessed.
_OUTPUT = (
    OutputAction.ALPHANUMERIC,
    OutputAction.NUMERIC,
    OutputAction.BLINK,
    OutputAction.BEEP,
    OutputAction.VIBRATE,
)
_INPUT = (InputAction.ALPHANUMERIC, InputAction.NUMERIC, InputAction.PUSH, InputAction.TWIST)


def _action(offered: int, size: int, order: tuple[OutputAction, ...] | tuple[InputAction, ...]) -> int | None:
    if size == 0:
        return None
    return next((int(action) for action in order if offered >> action & 1), None)
