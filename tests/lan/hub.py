"""`doorstep` with the patience of a test: it searches for as many seconds as DOORSTEP_TEST_PATIENCE says.

Two minutes are right for a person who walks to the device, and wrong for a test that waits for "nothing was found".
"""

import os

from app.__main__ import main
from pairing.methods.ez import Ez
from pairing.methods.qr_shown import QrShown
from pairing.methods.wired import Wired

PATIENT = ((Wired, "patience"), (QrShown, "patience"), (Ez, "sending"), (Ez, "join_within"))
"""Who waits for a device, and what that wait is called."""

if __name__ == "__main__":
    patience = float(os.environ.pop("DOORSTEP_TEST_PATIENCE"))
    for method, name in PATIENT:
        defaults = method.__init__.__kwdefaults__
        assert defaults is not None
        assert name in defaults
        defaults[name] = patience
    main()
