"""How often what happens in a schedule."""

from msgspec import Struct

PLACES = {"rename": 6, "build": 2, "pull_down": 2, "place": 4, "call": 3, "gather": 3, "dismiss": 1}
PEOPLES = {
    "promote": 4,
    "put_out": 3,
    "leave": 1,
    "let_in": 2,
    "call_oneself": 1,
    "hand_over": 2,
    "invite": 3,
    "come_in": 4,
    "revoke": 1,
}
THINGS = {"pair": 3, "unpair": 1, "take_over": 2, "hand_device": 2, "firmware": 2, "command": 2}
SHARES = {"share": 2, "take_share": 2, "end_share": 2, "widen_share": 1}
NETWORK = {
    "exchange": 34,
    "again": 3,
    "come_late": 4,
    "cut": 1,
    "heal_one": 2,
    "phone": 4,
    "restart": 1,
    "show_some": 3,
}
MOVES = {"join": 2, "part": 1}
TIME = {"jump": 3, "compact": 1}
DISASTERS = {"back_up": 3, "restore_hub": 1, "restore_cloud": 1, "ghost": 1}


class Mood(Struct, frozen=True):
    """How often what happens."""

    acts: dict[str, int]
    disasters: int = 0
    time: int = 1
    network: int = 1
    moves: int = 0


def _acts(places: int, people: int, things: int, shares: int) -> dict[str, int]:
    weighed = ((PLACES, places), (PEOPLES, people), (THINGS, things), (SHARES, shares))
    return {name: weight * times for of, times in weighed for name, weight in of.items()} | {"dissolve": 1}


MOODS = {
    "all": Mood(_acts(2, 2, 2, 2), disasters=1, moves=1),
    "places": Mood(_acts(6, 0, 2, 0)),
    "people": Mood(_acts(1, 6, 0, 2)),
    "things": Mood(_acts(2, 0, 6, 1), disasters=1),
    "disasters": Mood(_acts(3, 2, 1, 0) | {"pull_down": 12, "place": 16}, disasters=4, moves=1),
    "ages": Mood(_acts(3, 2, 1, 1) | {"call": 50, "unpair": 0}, disasters=1, time=8, moves=1),
    "heirs": Mood(_acts(1, 3, 0, 0) | {"hand_over": 16}, disasters=4),
    "slow": Mood(_acts(3, 2, 1, 1), disasters=1, time=2, network=3),
    "moves": Mood(_acts(4, 1, 1, 0), network=3, moves=8),
}
