"""The same program as a cloud node: the same API, and nothing of a home's network."""

from pathlib import Path

from app.node import Node
from app.settings import Settings
from tests.e2e.living import PATIENT, Living


async def test_a_cloud_node_listens_for_no_device_and_pairs_none(tmp_path: Path) -> None:
    node = Node(Settings(data=tmp_path / "cloud", role="cloud", port=0, link_port=0, tls=False, limits=PATIENT))
    await node.start()
    cloud = Living(node)
    try:
        await cloud.claim()
        assert node.link_port == 0
        assert node.services.lan.link is None
        assert (await cloud.owner.get("/api/pairing/methods")).json() == []
        refused = await cloud.owner.post(cloud.pairing, json={"method": "wired"})
        assert (refused.status_code, refused.json()["code"]) == (409, "at_the_hub")
        assert (await cloud.owner.get(f"/api/homes/{cloud.home_id}")).status_code == 200
    finally:
        await cloud.owner.aclose()
        await node.stop()
