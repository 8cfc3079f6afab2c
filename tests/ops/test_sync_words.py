"""What the command says of a home and its cloud, and the doctor of the way there."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.commands.catching_up import STATES, ago, is_level, lines
from app.commands.doctor_cloud import of_hub

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LEVEL: dict[str, Any] = {
    "state": "synced",
    "cloud": "Harbour",
    "to_push": 0,
    "to_pull": 0,
    "conflicts": 0,
    "last_contact_at": None,
    "progress": None,
    "problem": "",
    "hubs": 0,
}


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (None, "never"),
        ("2026-05-04T12:00:00+00:00", "now"),
        ("2026-05-04T12:00:03+00:00", "now"),
        ("2026-05-04T11:59:18Z", "42 s ago"),
        ("2026-05-04T11:57:00Z", "3 min ago"),
        ("2026-05-04T09:30:00Z", "2 h ago"),
        ("2026-05-03T11:00:00Z", "1 day ago"),
        ("2026-04-20T12:00:00Z", "14 days ago"),
    ],
)
def test_how_long_ago(then: str | None, said: str) -> None:
    assert ago(then, NOW) == said


@pytest.mark.parametrize(
    ("changed", "level"),
    [
        ({}, True),
        ({"to_push": 1}, False),
        ({"to_pull": 1}, False),
        ({"state": "joining", "progress": 0.0}, False),
        ({"state": "snapshot", "progress": 0.4}, False),
        ({"state": "offline"}, False),
        ({"state": "alone"}, True),
        ({"state": "authority"}, True),
        ({"state": "refused"}, True),
    ],
)
def test_when_a_first_sync_is_over(changed: dict[str, Any], level: bool) -> None:
    assert is_level({**LEVEL, **changed}) is level


@pytest.mark.parametrize("state", sorted(STATES))
def test_every_state_is_told_in_words(state: str) -> None:
    told = list(lines("Our [home]", {**LEVEL, "state": state, "progress": 0.25, "conflicts": 2, "problem": "cut"}))
    assert told[0].startswith("[bold]Our \\[home][/]")
    text = "\n".join(told)
    assert "25%" in text
    assert "doorstep sync conflicts" in text
    assert ("sync give" in text) == (state == "alone")
    assert ("cloud join" in text) == (state == "refused")


@pytest.mark.parametrize(
    ("about", "state", "word"),
    [
        ({"way": "websocket"}, "ok", "by one WebSocket; its certificate is pinned"),
        ({"way": "websocket", "pinned": False}, "ok", "as a browser does"),
        ({"way": "requests"}, "note", "WebSockets do not get through"),
        ({"problem": "it does not answer"}, "note", "it does not answer"),
        ({"state": "asked"}, "note", "has not confirmed"),
        ({"state": "refused"}, "bad", "did not take this hub in"),
        ({"state": "revoked"}, "bad", "has revoked"),
        ({"state": "superseded"}, "bad", "restored copy"),
    ],
)
def test_how_the_cloud_is_reached(about: dict[str, Any], state: str, word: str) -> None:
    cloud = {"name": "Harbour", "url": "https://h", "state": "enrolled", "pinned": True, "way": None, "problem": ""}
    found = of_hub({**cloud, **about})
    assert found.state == state
    assert word in found.detail
    assert bool(found.hint) == (state != "ok")
