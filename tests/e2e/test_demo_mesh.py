"""The demo of Bluetooth mesh as README shows it: processes, a radio between them, and the companion API."""

import sys
from pathlib import Path

from tests.e2e.test_demo import run

DEMO = [sys.executable, "-m", "app", "demo", "--mesh", "--json"]
# In the order they must be told.
TOLD = [
    "it can be heard",
    "the hub answers",
    "it says over Bluetooth that it is in no mesh",
    "it blinks; Anna says yes",
    "joined",
    "the switch is a node of the mesh",
    "each of its outlets is a device of the home",
    "it is on, and no other",
    "the outlets listen to the group's own address",
    "all are on",
    "all are off",
    "the switch forgets the mesh, and belongs to nobody",
    "it blinks; Anna says yes",
    "joined",
    "the switch is a node of the mesh",
    "each of its outlets is a device of the home",
    "it is on, and no other",
]


def test_a_node_is_found_provisioned_switched_grouped_reset_and_provisioned_again(tmp_path: Path) -> None:
    code, lines, errors = run(*DEMO, folder=tmp_path / "demo")
    assert (code, errors) == (0, ""), lines[-1:]
    assert [line["text"] for line in lines if line.get("text") in TOLD] == TOLD
    grouped = [line for line in lines if line.get("text") in ("all are on", "all are off")]
    assert [(line["messages"], line["answers"]) for line in grouped] == [(1, 3), (1, 3)]
    addresses = [line["address"] for line in lines if line.get("text") == "the switch is a node of the mesh"]
    assert len(set(addresses)) == 2, "what it says under its new keys is no replay of the old"
