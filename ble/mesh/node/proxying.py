"""A proxy's filter: which network PDUs its client is passed (MshPRT 1.1, 6.4 and 6.5)."""

from ble.mesh.proxy_filter import Add, Configuration, FilterType, Remove, SetType, Status

MAX_LISTED = 256


class Filter:
    """One connection's: an accept list that is empty, until the client says otherwise."""

    def __init__(self) -> None:
        self._type = FilterType.ACCEPT
        self._listed: set[int] = set()

    def configure(self, message: Configuration) -> Status | None:
        """The answer; None to what is no request."""
        match message:
            case SetType(filter_type):
                self._type, self._listed = filter_type, set()
            case Add(addresses):
                for address in addresses:
                    self._add(address)
            case Remove(addresses):
                self._listed -= set(addresses)
            case _:
                return None
        return Status(self._type, len(self._listed))

    def heard_from(self, source: int) -> None:
        """What the client sends as is also what it wants to hear (6.4)."""
        if self._type is FilterType.ACCEPT:
            self._add(source)
        else:
            self._listed.discard(source)

    def passes(self, destination: int) -> bool:
        return (destination in self._listed) == (self._type is FilterType.ACCEPT)

    def _add(self, address: int) -> None:
        if len(self._listed) < MAX_LISTED:
            self._listed.add(address)
