"""`doorstep mesh`: a network comes in as a file and leaves as one, on the command line."""

import asyncio
import json
import stat
from pathlib import Path

from app.commands.child import HubProcess
from app.companion.examples import EXAMPLES
from tests.e2e.claimed import hub
from tests.e2e.verbs import command

__all__ = ["hub"]
(EXAMPLE,) = EXAMPLES["importMesh"].values()


async def test_a_network_comes_in_and_leaves_again(hub: HubProcess, tmp_path: Path) -> None:
    data, given, out = hub.ready["data"], tmp_path / "given.json", tmp_path / "out.json"
    await asyncio.to_thread(given.write_text, json.dumps(EXAMPLE["database"]))
    code, said = await command("mesh", "import", given, "--data", data)
    assert (code, len(said["device_ids"]), said["other_nodes"]) == (0, 1, 0)
    code, said = await command("mesh", "export", out, "--data", data)
    assert (code, said["nodes"]) == (0, 1)
    assert stat.S_IMODE((await asyncio.to_thread(out.stat)).st_mode) == 0o600
    written = json.loads(await asyncio.to_thread(out.read_text))
    assert [key["key"] for key in written["netKeys"]] == [key["key"] for key in EXAMPLE["database"]["netKeys"]]
    code, said = await command("mesh", "export", out, "--data", data)
    assert (code != 0, said["error"]["code"]) == (True, "file_exists")
    code, said = await command("mesh", "import", given, "--data", data)
    assert said["error"]["code"] == "mesh_in_use"
