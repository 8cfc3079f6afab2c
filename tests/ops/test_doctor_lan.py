"""`doorstep doctor lan`: on a host with a neighbour, and what it makes of what is blocked."""

import json
import sys
from pathlib import Path

import pytest

from app.commands import doctor_lan
from app.commands.doctor_lan import Looked
from app.commands.findings import Finding
from pairing.announcement import HubAnnouncement
from pairing.lanes import Lane, Tried
from tests.pairing.test_lanes import in_a_namespace


def test_a_sound_network_is_told_by_lane_and_interface(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "app", "doctor", "lan", "--json", "--data", str(tmp_path))
    done = in_a_namespace("env", "DOORSTEP_NO_BOOTSTRAP=1", *command, "--lan")
    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert {(each["interface"], each["lane"]) for each in told["lanes"] if each["heard"]} == {
        ("lan0", "mdns-ipv4"),
        ("lan0", "mdns-ipv6"),
        ("lan0", "ez-broadcast"),
        ("lan0", "ez-multicast"),
    }
    assert told["blocked"] == []
    assert told["neighbours"] == {"lan0": 1}


def test_without_lan_nothing_leaves_this_machine(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "app", "doctor", "lan", "--json", "--data", str(tmp_path))
    done = in_a_namespace("env", "DOORSTEP_NO_BOOTSTRAP=1", *command)
    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert {each["interface"] for each in told["lanes"]} == {"lo"}
    assert told["neighbours"] == {}


def tried(lane: Lane, interface: str = "lan0", reason: str = "") -> Tried:
    return Tried(lane, interface, "192.0.2.1", not reason, reason)


BLOCKED = "not heard back"


@pytest.mark.parametrize(
    ("looked", "states"),
    [
        ([], ["bad"]),
        ([tried(Lane.MDNS_V4)], ["ok"]),
        ([tried(Lane.MDNS_V4, reason=BLOCKED)], ["bad"]),
        ([tried(Lane.MDNS_V4), tried(Lane.MDNS_V6, reason=BLOCKED)], ["ok", "note"]),
        ([tried(Lane.MDNS_V6, reason=BLOCKED)], ["bad"]),
        ([tried(Lane.EZ_BROADCAST, reason="refused"), tried(Lane.EZ_MULTICAST)], ["note", "ok"]),
        ([tried(Lane.EZ_BROADCAST, reason="refused"), tried(Lane.EZ_MULTICAST, reason=BLOCKED)], ["bad", "bad"]),
        ([tried(Lane.EZ_MULTICAST, reason=BLOCKED), tried(Lane.EZ_MULTICAST, "lan1")], ["note"]),
    ],
)
def test_a_blocked_lane_is_bad_when_no_other_does_its_work(looked: list[Tried], states: list[str]) -> None:
    found = list(doctor_lan._of_lanes(looked))
    assert [finding.state for finding in found] == states
    assert all(finding.hint for finding in found if finding.state != "ok")


def test_what_is_blocked_is_named_with_where_why_and_what_to_open() -> None:
    (found,) = doctor_lan._of_lanes([tried(Lane.MDNS_V4, reason=BLOCKED), tried(Lane.MDNS_V4, "lan1")])
    assert "lan0 192.0.2.1 (not heard back)" in found.detail
    assert "heard back on lan1" in found.detail
    assert "5353" in found.hint


def test_nobody_else_is_worth_knowing() -> None:
    (alone, others) = doctor_lan._of_neighbours(Looked([], {"lan0": 0, "lan1": 3}, []))
    assert (alone.state, others.state) == ("note", "ok")
    assert "isolation" in alone.hint
    assert "reflector" in alone.hint


def test_a_hub_that_runs_unheard_is_told() -> None:
    hub = HubAnnouncement(id="h-" + "a" * 24, addresses=("192.0.2.1",), port=8471)
    assert [each.state for each in doctor_lan._of_hub(Looked([], {}, [hub]), runs=True)] == ["ok"]
    (found,) = doctor_lan._of_hub(Looked([], {}, []), runs=True)
    assert isinstance(found, Finding)
    assert found.state == "note"
    assert list(doctor_lan._of_hub(Looked([], {}, []), runs=False)) == []
