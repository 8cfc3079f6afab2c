"""The demo of a cloud as README shows it: processes, a cloud that goes and comes back, and the companion API."""

import sys
from pathlib import Path

from tests.e2e.test_demo import run

DEMO = [sys.executable, "-m", "app", "demo", "--cloud", "--json"]
# In the order they must be told.
TOLD = [
    "the hub answers",
    "the cloud answers, and Anna has an account there",
    "hub and cloud show the same number; Anna says yes at the cloud",
    "the hub is connected to its cloud",
    "her account at the hub proves its key to the cloud: at both she is one person",
    "the cloud has them, too",
    "the hub goes on without its cloud",
    "in the house Anna renames a room and makes one",
    "outside she renames the same room at the cloud, and makes another one",
    "the hub has found its cloud",
    "hub and cloud are the same again",
    "of two names one was kept, and the other is not forgotten",
    "Anna would rather have the other: undone at the hub, and so at the cloud",
]


def test_a_hub_and_its_cloud_edited_apart(tmp_path: Path) -> None:
    code, lines, errors = run(*DEMO, folder=tmp_path / "demo")
    assert (code, errors) == (0, ""), lines[-1:]
    told = {line["text"]: line for line in lines if line.get("text") in TOLD}
    assert list(told) == TOLD
    assert told["in the house Anna renames a room and makes one"]["waiting"] == 2
    assert told["hub and cloud are the same again"]["rooms"].count(",") == 3
    conflict = told["of two names one was kept, and the other is not forgotten"]
    assert {conflict["kept"], conflict["lost"]} == {"Library", "Salon"}
    assert told["Anna would rather have the other: undone at the hub, and so at the cloud"]["name"] == conflict["lost"]
