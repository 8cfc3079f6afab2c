"""Who may do what, written down once more by hand: what the tests hold the hub to. Nothing here reads app.policy.

A right names who may (`yes`) and who sees the thing but may not (`no`); to everybody else of VALID it must look as if
it did not exist. Credentials that are none get 401 on everything but what is public.
"""

from typing import Final

from msgspec import Struct

from tests.security.world import INVALID, VALID

YES: Final = "yes"
NO: Final = "no"
HIDDEN: Final = "hidden"
UNKNOWN: Final = "unknown"


class Right(Struct, frozen=True):
    """See the module."""

    yes: frozenset[str]
    no: frozenset[str]
    public: bool = False

    def verdict(self, actor: str) -> str:
        """What `actor` must be told."""
        if actor in INVALID:
            return YES if self.public else UNKNOWN
        return YES if actor in self.yes else NO if actor in self.no else HIDDEN


def _right(yes: str, no: str = "") -> Right:
    return Right(frozenset(yes.split()), frozenset(no.split()))


_ALL = " ".join(VALID)
_KEYS = "key_read key_control key_home key_elsewhere"
_PEOPLE = " ".join(name for name in VALID if name not in _KEYS.split())
_IN_HOME = "owner admin member unnamed guest off_guest key_read key_control key_home"


def _rest(of: str, without: str) -> str:
    return " ".join(name for name in of.split() if name not in without.split())


def _of_home(yes: str) -> Right:
    """`yes` may; whoever else is in the home sees it and may not."""
    return _right(yes, _rest(_IN_HOME, yes))


_LENT = "viewer controller group_controller"
_CONTROL = "controller group_controller"


def _of_device(yes: str) -> Right:
    """`yes` may; whoever else is in the home, or has it on loan, sees it and may not."""
    return _right(yes, _rest(f"{_IN_HOME} {_LENT}", yes))


def _of_group(yes: str) -> Right:
    """`yes` may; whoever else is in the home, or has it on loan, sees it and may not."""
    return _right(yes, _rest(f"{_IN_HOME} group_controller", yes))


RIGHTS: dict[str, Right] = {
    "anybody": Right(frozenset(VALID), frozenset(), public=True),
    # About oneself.
    "oneself": _right(_PEOPLE, _KEYS),
    "whoever reads": _right(_ALL),
    "make a home": _right(_rest(_PEOPLE, "unnamed"), f"unnamed {_KEYS}"),
    "have keys": _right(_rest(_PEOPLE, "unnamed"), f"unnamed {_KEYS}"),
    "take up the invitation": _right("ex_member", _KEYS),
    "hear of the owner": _right("owner"),
    "the owner's key": _right("owner", _KEYS),
    # Who could have hubs of their own is told that there is no such hub; who could not, that they may not.
    "the owner's hub": _right("owner", f"unnamed {_KEYS}"),
    "the owner's phone": _right("owner", _KEYS),
    "read a code": _right(f"{_PEOPLE} key_home key_elsewhere", "key_read key_control"),
    # The hub.
    "run the hub": _right("owner", _rest(_ALL, "owner")),
    # In the home.
    "see the home": _of_home("owner admin member unnamed guest key_read key_control key_home"),
    "see members": _of_home("owner admin member unnamed key_read key_control key_home"),
    "manage the home": _of_home("owner admin key_home"),
    "own the home": _of_home("owner key_home"),
    "push to the home": _of_home("owner admin member unnamed guest key_home"),
    "read as an admin": _of_home("owner admin key_read key_control key_home"),
    "pair": _of_home("owner admin key_home"),
    "see the code of one's own pairing": _of_home("owner key_home"),
    "leave the home": _of_home("admin member unnamed guest off_guest"),
    # A device of the home: the guest's, and lent.
    "see the device": _of_device(f"owner admin member unnamed guest {_LENT} key_read key_control key_home"),
    "see where the device is": _of_device("owner admin member unnamed guest key_read key_control key_home"),
    "control the device": _of_device(
        "owner admin member unnamed guest controller group_controller key_control key_home"
    ),
    "manage the device": _of_device("owner admin key_home"),
    "see the device's journal": _of_device("owner admin member unnamed key_read key_control key_home"),
    "see the device's people": _of_device("owner admin member unnamed key_read key_control key_home"),
    "manage the device's people": _of_device("owner admin member unnamed key_home"),
    "read the device as an admin": _of_device("owner admin key_read key_control key_home"),
    # A group of the home: the guest's, and lent.
    "see the group": _of_group("owner admin member unnamed guest group_controller key_read key_control key_home"),
    "control the group": _of_group("owner admin member unnamed guest group_controller key_control key_home"),
    "manage the group": _of_group("owner admin key_home"),
    "read the group as an admin": _of_group("owner admin key_read key_control key_home"),
    # Between two people.
    "take up the offer": _right("ex_member", _KEYS),
    "give the share back": _right("viewer", _KEYS),
}
