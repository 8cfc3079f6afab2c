"""The protocol's sample data (fixtures/mesh/sample_data.json, with the sources it was gathered from)."""

import json
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[3] / "fixtures" / "mesh" / "sample_data.json"


@cache
def _file() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PATH.read_text())
    return found


def _all() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _file()["vectors"]
    return found


def count() -> int:
    """How many there are."""
    return len(_all())


def vector(section: str, name: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and outputs of the one entry of this section whose name begins so."""
    (found,) = [v for v in _all() if v["section"] == section and v["name"].startswith(name)]
    return found["in"], found["out"]


def messages() -> list[dict[str, Any]]:
    """The messages of 8.3, each with its lower transport and network PDUs."""
    return [v for v in _all() if "network_pdus" in v["out"]]


def recorded(peer: str, name: str) -> bytes:
    """Octets that another stack sent (`bluez_meshd_5.66`, `btstack_2026_06`)."""
    return octets(_file()["recorded_from_peers"][peer][name])


def octets(text: str) -> bytes:
    return bytes.fromhex(text)
