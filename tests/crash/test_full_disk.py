"""A disk that is really full: a small tmpfs where one can be mounted, a limit on file sizes elsewhere."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SMALL = 6 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Path | None, str]]:
    """A folder on it, a file whose removal frees space (None: lift the limit instead), and the error code it gives."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", tmp_path], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        yield tmp_path / "data", None, "storage_failed"
        return
    try:
        ballast = tmp_path / "ballast"
        ballast.write_bytes(bytes(SMALL // 3))
        yield tmp_path / "data", ballast, "storage_full"
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def test_it_says_so_goes_on_reading_and_recovers(small_disk: tuple[Path, Path | None, str]) -> None:
    folder, ballast, code = small_disk
    with subprocess.Popen(
        [sys.executable, "-m", "tests.crash.filler", folder, str(0 if ballast else SMALL // 2)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        for line in process.stdout:
            if line == "full\n":
                break
        if ballast:
            ballast.unlink()
        process.stdin.write("\n")
        process.stdin.close()
        report = json.loads(process.stdout.read().splitlines()[-1])
        assert process.wait() == 0
    assert report.pop("kept") > 50
    assert report == {"codes": [code] * 5, "read_while_full": True, "exact": True, "half_made": 0}
