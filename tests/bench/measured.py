"""What one round of one contender took."""

from msgspec import Struct

WHAT = {
    "all_out": "all, hub to empty cloud",
    "all_in": "all, cloud to empty hub",
    "edits_out": "edits made at the hub",
    "edits_in": "edits made at the cloud",
    "edits_both": "edits made at both",
}


class Taken(Struct, frozen=True):
    """So many documents, on the other side's disk after `seconds`; `octets` on the wire, both ways.

    `shown`: after so many seconds other tables that are made of them were level, too.
    """

    documents: int
    seconds: float
    octets: int
    shown: float

    @property
    def rate(self) -> float:
        """Documents a second."""
        return self.documents / self.seconds


class Measured(Struct, frozen=True):
    """By the names in WHAT; `to_cloud`, `to_hub`: ms from one change to the other side's event.

    `stated`: s in which the hub made a log of its tables, as it was given a cloud.
    """

    taken: dict[str, Taken]
    to_cloud: list[float] = []
    to_hub: list[float] = []
    stated: float = 0.0
