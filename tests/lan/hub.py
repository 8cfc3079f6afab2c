"""`doorstep` with the patience of a test: it searches for as many seconds as DOORSTEP_TEST_PATIENCE says.

Two minutes are right for a person who walks to the device, and wrong for a test that waits for "nothing was found".
"""

import os

from app.__main__ import main
from pairing.methods.qr_shown import QrShown
from pairing.methods.wired import Wired

METHODS = (Wired, QrShown)

if __name__ == "__main__":
    patience = float(os.environ.pop("DOORSTEP_TEST_PATIENCE"))
    for method in METHODS:
        defaults = method.__init__.__kwdefaults__
        assert defaults is not None
        assert "patience" in defaults
        defaults["patience"] = patience
    main()
