"""The values of output and input OOB: what a person sees or types, and the AuthValue it becomes (5.4.2.4)."""

from ble.mesh.provisioning.errors import ConfirmationFailed
from ble.mesh.provisioning.pdus import RANDOM_SIZES, InputAction, OutputAction
from ble.mesh.provisioning.talk import Entropy, OobAction

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
COUNTED = (OutputAction.BLINK, OutputAction.BEEP, OutputAction.VIBRATE, InputAction.PUSH, InputAction.TWIST)
MOST_COUNTED = 9
"""A person counts no further, whatever size is offered."""


def draw(action: OobAction, size: int, entropy: Entropy) -> str:
    """A value to be shown: a count from 1, a number of at most `size` digits, or `size` letters and digits."""
    drawn = int.from_bytes(entropy(16), "big")
    if is_text(action):
        return "".join(LETTERS[drawn // len(LETTERS) ** place % len(LETTERS)] for place in range(size))
    if is_counted(action):
        return str(1 + drawn % MOST_COUNTED)
    return str(drawn % 10**size).zfill(size)


def auth_value(action: OobAction, size: int, text: str, algorithm: int) -> bytes:
    """The AuthValue. Raises ConfirmationFailed where `text` cannot be what the peer showed."""
    octets = RANDOM_SIZES[algorithm]
    text = text.strip()
    if is_text(action):
        letters = text.upper()
        if not letters or len(letters) > size or any(letter not in LETTERS for letter in letters):
            raise ConfirmationFailed("no text of that size")
        return letters.encode("ascii").ljust(octets, b"\0")
    if not (text.isascii() and text.isdigit() and len(text) <= size):
        raise ConfirmationFailed("no number of that size")
    return int(text).to_bytes(octets, "big")


def static_value(secret: bytes, algorithm: int) -> bytes:
    """The AuthValue of a static secret of 16 or 32 octets: cut, or filled with zeros, to the algorithm's size."""
    octets = RANDOM_SIZES[algorithm]
    return secret[:octets].ljust(octets, b"\0")


def is_text(action: OobAction) -> bool:
    return action is OutputAction.ALPHANUMERIC or action is InputAction.ALPHANUMERIC


def is_counted(action: OobAction) -> bool:
    """Whether it is counted: blinks, beeps, pushes. IntEnums of two kinds compare equal, hence `is`."""
    return any(action is counted for counted in COUNTED)
