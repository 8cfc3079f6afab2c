"""The published sample data (fixtures/mesh/sample_data.json names its sources), by section and by peer."""

import json
from functools import cache
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parents[3] / "fixtures" / "mesh" / "sample_data.json"


@cache
def _all() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SAMPLE.read_text())
    return loaded


def vector(section: str) -> dict[str, dict[str, Any]]:
    """The first entry of a section: its `in` and `out`."""
    found: dict[str, dict[str, Any]] = next(entry for entry in _all()["vectors"] if entry["section"] == section)
    return found


def recorded(peer: str, name: str) -> bytes:
    """Octets that another stack sent."""
    return bytes.fromhex(_all()["recorded_from_peers"][peer][name])
