"""What the code tells listeners by, read from the code itself."""

import ast
from pathlib import Path
from typing import Any

from tests.security.test_events_matrix import HEARS

APP = Path(__file__).parent.parent.parent / "app"


def test_every_action_the_code_tells_by_is_in_the_table() -> None:
    known = {sees.name for sees, _ in HEARS}
    assert _told_by() - known == set()


def _told_by() -> set[str]:
    """The actions named in the application where a Change is made."""
    found: set[str] = set()
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _name(node.func) == "Change":
                arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
                found |= {a.attr for a in arguments if isinstance(a, ast.Attribute) and _name(a.value) == "Action"}
    return found


def _name(node: Any) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
