"""What devices are told of a home's hubs: kept over a restart, and believed of the hub alone whose key it is."""

from pathlib import Path

import msgspec
import pytest

from app.sync.hub_cards import place_of
from pairing.identity import Identity
from pairing.messages import HubCard
from tests.api.harness import Api
from tests.api.things import home_of
from tests.pairing.stage import seeded

BARN = Identity.generate(seeded(5))
CARD = HubCard(BARN.public, "Barn", (("192.0.2.7", 8471),))


async def keep(api: Api, home_id: str, hub_id: str, secret: bytes) -> None:
    """As when a hub has said it, and it was opened here."""
    place = place_of(home_id, hub_id)

    def act(tx: object) -> None:
        api.store.vault.keep(tx, place, secret)  # type: ignore[arg-type]
        api.services.hub_cards.told_in(tx, place.partition("/")[2])  # type: ignore[arg-type]

    await api.store.write(act)


async def test_a_card_is_known_at_once_and_after_a_restart_until_it_is_gone(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        home_id = await home_of(await api.person("anna"))
        changed: list[tuple[str, str]] = []
        api.services.hub_cards.on_changed.append(lambda home, hub: changed.append((home, hub)))
        await keep(api, home_id, BARN.hub_id, msgspec.json.encode(CARD))
        assert api.services.hub_cards.get(home_id, BARN.hub_id) == CARD
        assert changed == [(home_id, BARN.hub_id)]
        assert api.services.hub_cards.get("another home", BARN.hub_id) is None
    async with Api(tmp_path) as api:
        cards, place = api.services.hub_cards, place_of(home_id, BARN.hub_id)
        assert cards.get(home_id, BARN.hub_id) == CARD
        await api.store.write(lambda tx: api.store.vault.drop(tx, place))
        await api.store.write(lambda tx: cards.told_in(tx, f"{home_id}/{BARN.hub_id}"))
        assert cards.get(home_id, BARN.hub_id) is None


@pytest.mark.parametrize(
    ("hub_id", "secret"),
    [
        (Identity.generate(seeded(6)).hub_id, msgspec.json.encode(CARD)),
        (BARN.hub_id, b"no card"),
        (BARN.hub_id, b"\xff\xfe"),
        (BARN.hub_id, msgspec.json.encode({"key": "", "name": "Barn", "endpoints": []})),
    ],
    ids=("another hub's", "text", "octets", "empty"),
)
async def test_what_is_no_card_of_that_hub_is_none(tmp_path: Path, hub_id: str, secret: bytes) -> None:
    async with Api(tmp_path) as api:
        home_id = await home_of(await api.person("anna"))
        await keep(api, home_id, hub_id, secret)
        assert api.services.hub_cards.get(home_id, hub_id) is None
    async with Api(tmp_path) as api:
        assert api.services.hub_cards.get(home_id, hub_id) is None
