"""What the command's exit codes mean. Scripts rely on them; they are listed in `doorstep --help`."""

from enum import IntEnum


class Exit(IntEnum):
    """One code per thing a script would do differently about."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    NOT_FOUND = 4
    UNREACHABLE = 5
    CONFLICT = 6
    DEVICE = 7
    UNSOUND = 8
    SETUP = 70
    LATER = 75
    INTERRUPTED = 130


MEANING = {
    Exit.OK: "done",
    Exit.FAILED: "failed in a way not listed here",
    Exit.USAGE: "the command was not understood, or a setting cannot be used",
    Exit.REFUSED: "not signed in, or not allowed",
    Exit.NOT_FOUND: "there is no such thing",
    Exit.UNREACHABLE: "no hub answers",
    Exit.CONFLICT: "it does not fit the state things are in (already there, in use, changed meanwhile)",
    Exit.DEVICE: "the device did not do it, or pairing ended without a device",
    Exit.UNSOUND: "a check found damage",
    Exit.SETUP: "the dependencies could not be set up",
    Exit.LATER: "not now; the same command can succeed later",
    Exit.INTERRUPTED: "interrupted",
}
