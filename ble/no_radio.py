"""The radio of a machine that has none, or may not use it: nothing is heard, and nothing can be connected to."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from ble.errors import RadioOff
from ble.radio import CONNECT_TIMEOUT_S, Advertisement, Connection, RadioState


class NoRadio:
    """A `ble.radio.Radio` whose `state` never changes: it says why."""

    in_use = 0

    def __init__(self, state: RadioState) -> None:
        self.state = state

    def on_state(self, told: Callable[[RadioState], None]) -> Callable[[], None]:
        return _nothing

    def listen(self, heard: Callable[[Advertisement], None]) -> Callable[[], None]:
        return _nothing

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def connect(
        self, address: str, *, services: Sequence[str] = (), timeout: float = CONNECT_TIMEOUT_S
    ) -> AbstractAsyncContextManager[Connection]:
        raise RadioOff(self.state.sentence)


def _nothing() -> None:
    return None
