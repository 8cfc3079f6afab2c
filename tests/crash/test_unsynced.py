"""A disk that takes writes and fails to sync them: nothing is acknowledged that is not known to be on it."""

import json
import subprocess
import sys
from pathlib import Path


def test_nothing_is_acknowledged_that_was_not_synced(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.crash.unsynced", str(tmp_path / "data")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report == {"codes": ["storage_failed"] * 20, "acknowledged": 21, "exact": True, "read_meanwhile": 20}
