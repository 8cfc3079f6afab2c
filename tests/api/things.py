"""Homes with devices in them, for tests of what is done with them."""

import hashlib
from typing import Any

import httpx2

from app.caller import BY_SYSTEM
from app.devices.model import NewDevice
from tests.api.harness import Api

HOME = {"name": "Lindenweg", "time_zone": "Europe/Berlin"}


async def home_of(client: httpx2.AsyncClient) -> str:
    """A new home of whoever the client is."""
    made = await client.post("/api/homes", json=HOME)
    assert made.status_code == 201
    home_id: str = made.json()["id"]
    return home_id


async def room_of(client: httpx2.AsyncClient, home_id: str, name: str = "Kitchen") -> str:
    """A new room of a home."""
    made = await client.post(f"/api/homes/{home_id}/rooms", json={"name": name})
    assert made.status_code == 201
    room_id: str = made.json()["id"]
    return room_id


async def bind(api: Api, home_id: str, hardware: str = "d-1", *, product: str = "lamp", **fields: Any) -> str:
    """Paired hardware in a home; returns the device's id."""
    key = hashlib.sha256(hardware.encode()).digest()
    new = NewDevice(
        home_id=home_id, hardware_id=hardware, product_id=product, public_key=key, credential=key[::-1], **fields
    )
    device = await api.store.write(lambda tx: api.services.devices.bind_in(tx, BY_SYSTEM, new))
    return device.id


def without_request_id(answer: httpx2.Response) -> tuple[int, dict[str, Any]]:
    """A refusal, as far as it may differ from another of its kind."""
    return answer.status_code, {**answer.json(), "request_id": ""}
