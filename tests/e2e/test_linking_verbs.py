"""An account at a hub and one at its cloud made one person's with the command, over real connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.commands.exits import Exit
from app.serving import Serving
from app.settings import Settings
from tests.api.harness import Api
from tests.api.households import account_of
from tests.api.linked_hubs import key_of
from tests.e2e.verbs import command


@asynccontextmanager
async def served(folder: Path, *, tls: bool) -> AsyncIterator[tuple[Api, str, str]]:
    """A hub, its address and what to pin of its certificate."""
    async with Api(folder) as api:
        door = Serving(Settings(data=folder, port=0, tls=tls))
        endpoint = await door.open(api.app)
        try:
            yield api, endpoint.local_url, "" if endpoint.certificate is None else endpoint.certificate.pin
        finally:
            await door.close()


async def test_a_person_links_their_accounts(tmp_path: Path) -> None:
    async with (
        served(tmp_path / "hub", tls=False) as (hub, url, _),
        served(tmp_path / "cloud", tls=True) as (cloud, to, pin),
    ):
        anna, there = await hub.person("anna"), await cloud.person("anna")
        key = await key_of(anna)
        link = ("account", "link", "--hub", url, "--token", account_of(anna), "--to", to)
        code, refused = await command(*link, "--to-pin", pin, environ={"DOORSTEP_TO_TOKEN": "wrong"})
        assert (code, refused["error"]["code"]) == (Exit.REFUSED, "unauthenticated")
        code, linked = await command(*link, "--to-pin", pin, environ={"DOORSTEP_TO_TOKEN": account_of(there)})
        assert (code, linked["public_key"], linked["hub"]) == (0, key, cloud.services.hub.view().id)
        keys = (await there.get("/api/me/public-keys")).json()["items"]
        assert [known["public_key"] for known in keys] == [await key_of(there), key]
        at = ("--hub", to, "--pin", pin, "--token", account_of(there))
        assert await command("account", "unlink", key, *at) == (0, {"unlinked": key})
        assert len((await there.get("/api/me/public-keys")).json()["items"]) == 1
