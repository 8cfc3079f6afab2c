"""Where devices reach the hub's HTTPS: known once that listens, which is after devices may connect over MQTT."""

from collections.abc import Callable, Hashable


class Address:
    """`url` is "" until it is known."""

    def __init__(self) -> None:
        self.url = ""
        # By what it is about: who asks again before it is known is answered once.
        self._waiting: dict[Hashable, Callable[[], None]] = {}

    def known(self, url: str) -> None:
        """From now on; whatever waited for it is done."""
        self.url, waiting, self._waiting = url, self._waiting, {}
        for act in waiting.values():
            act()

    def once_known(self, about: Hashable, act: Callable[[], None]) -> None:
        """Now, or as soon as it is known."""
        if self.url:
            act()
        else:
            self._waiting[about] = act
