"""The example in `ble/README.md` runs as it is printed there."""

import re
from pathlib import Path
from typing import Any

from ble.mesh.store import JsonStore
from tests.ble.mesh.air import Air, Node
from tests.ble.mesh.pairs import NODE, hub_state

README = Path(__file__).parents[3] / "ble" / "README.md"
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


async def test_the_example_switches_a_lamp_on(tmp_path: Path) -> None:
    file, lamp = tmp_path / "network.json", Node("AA")
    await JsonStore(file).save(hub_state())
    names: dict[str, Any] = {}
    exec(EXAMPLE, names)
    assert await names["switch_on"](Air(lamp), file, NODE)
    assert lamp.on


def test_the_example_is_short() -> None:
    assert sum(bool(line.strip()) for line in EXAMPLE.splitlines()) <= 10
