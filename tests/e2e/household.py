"""A household that uses all a hub has secrets for: people, keys, screens, Wi-Fi, a lamp with a PIN, a share."""

import asyncio
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx2

from app.commands.child import Child, HubProcess
from tests.e2e.living import WAIT
from tests.e2e.witness import Witness

PASSWORDS = {name: f"{name} and the canary of 1899" for name in ("anna", "bob", "carol")}
NEW_PASSWORD = "anna and the canary of 1900"
PIN = "4711-KANARIENVOGEL-0815"
WRONG_PIN = "0815-KANARIENVOGEL-4711"
WIFI = {"ssid": "Lindenweg", "password": "wifi and the canary of 1901"}
OTHER_WIFI_PASSWORD = "wifi and the canary of 1902"
ENDS = ("joined", "failed", "cancelled", "expired")


class Household:
    """Anna's hub; Bob lives there too, Carol is given the lamp. `ids` are what was made, by name."""

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.ids: dict[str, str] = {}
        self.people: dict[str, httpx2.AsyncClient] = {}
        self.tokens: dict[str, dict[str, str]] = {}
        for name, secret in (
            *PASSWORDS.items(),
            ("new password", NEW_PASSWORD),
            ("pin", PIN),
            ("wrong pin", WRONG_PIN),
            ("wifi password", WIFI["password"]),
            ("other wifi password", OTHER_WIFI_PASSWORD),
        ):
            witness.secrets.add(name, secret)

    @property
    def anna(self) -> httpx2.AsyncClient:
        """The owner's client."""
        return self.people["anna"]

    @property
    def lamp(self) -> str:
        """The path of the lamp."""
        return f"/api/devices/{self.ids['lamp']}"

    @property
    def home(self) -> str:
        """The path of Anna's home."""
        return f"/api/homes/{self.ids['home']}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(client.aclose() for client in self.people.values()))

    async def signed_in(self, url: str, name: str, session: dict[str, str]) -> None:
        """Somebody has new tokens."""
        if name in self.people:
            await self.people[name].aclose()
        self.tokens[name] = session
        self.people[name] = self.witness.client(url, session["access_token"])

    async def sign_in(self, url: str, name: str) -> None:
        """By password, as after every session has ended."""
        body = {"login": name, "password": PASSWORDS[name], "phone": f"{name}'s phone"}
        async with self.witness.client(url) as anybody:
            await self.signed_in(url, name, await good(anybody.post("/api/sign-in", json=body)))

    async def recover(self, url: str) -> None:
        """Anna has forgotten her password: the code she wrote down gives her a new one."""
        code = self.tokens["anna's recovery"]["recovery_code"]
        body = {"login": "anna", "recovery_code": code, "password": NEW_PASSWORD, "phone": "Anna's phone"}
        async with self.witness.client(url) as anybody:
            await refused(anybody.post("/api/sign-in/recover", json={**body, "login": "bob"}))
            recovered = await good(anybody.post("/api/sign-in/recover", json=body))
            await refused(anybody.post("/api/sign-in/recover", json=body))
        await self.signed_in(url, "anna", recovered["session"])

    async def move_in(self, hub: HubProcess) -> None:
        """Claim the hub; a home with a room, people, a key, a second screen, an invitation nobody has taken up."""
        url = hub.ready["url"]
        self.witness.secrets.add("claim code", hub.ready["claim_code"])
        anna = {"login": "anna", "password": PASSWORDS["anna"], "name": "Anna", "phone": "Anna's phone"}
        async with self.witness.client(url) as anybody:
            claim = {"code": hub.ready["claim_code"], "time": now(), **anna}
            claimed = await good(anybody.post("/api/hub/claim", json=claim))
        await self.signed_in(url, "anna", claimed["session"])
        self.tokens["anna's recovery"] = claimed
        self.ids["home"] = await self._home("Lindenweg")
        self.ids["room"] = (await good(self.anna.post(f"{self.home}/rooms", json={"name": "Kitchen"})))["id"]
        await self._sign_up(url, "bob", self.ids["home"])
        await self._sign_up(url, "carol", await self._home("Cottage"))
        key = {"name": "A program", "scopes": ["read"]}
        self.tokens["key"] = await good(self.anna.post("/api/me/keys", json=key))
        self.tokens["open invitation"] = await good(self.anna.post(f"{self.home}/invitations", json={}))
        await self._screen(url)
        await self._wifi()
        refresh = {"refresh_token": self.tokens["bob"]["refresh_token"]}
        self.tokens["bob before"] = self.tokens["bob"]
        await self.signed_in(url, "bob", await good(self.people["bob"].post("/api/sign-in/refresh", json=refresh)))

    async def _home(self, name: str) -> str:
        made = await good(self.anna.post("/api/homes", json={"name": name, "time_zone": "Europe/Berlin"}))
        return str(made["id"])

    async def _sign_up(self, url: str, name: str, home_id: str) -> None:
        made = await good(self.anna.post(f"/api/homes/{home_id}/invitations", json={}))
        person = {"login": name, "password": PASSWORDS[name], "name": name.title(), "phone": f"{name}'s phone"}
        async with self.witness.client(url) as anybody:
            body = {"code": made["code"], **person}
            joined = await good(anybody.post("/api/invitations/sign-up", json=body))
        await self.signed_in(url, name, joined["session"])

    async def _wifi(self) -> None:
        """The home knows a network; codes with it, and with another, are shown to a camera that does not look."""
        await good(self.anna.post(f"{self.home}/networks", json=WIFI))
        for told in ({}, {"wifi_password": OTHER_WIFI_PASSWORD}):
            body = {"method": "qr_shown", "ssid": WIFI["ssid"], **told}
            path = f"{self.home}/pairing/{(await good(self.anna.post(f'{self.home}/pairing', json=body)))['id']}"
            assert (await self.anna.get(f"{path}/qr")).status_code == 200
            await refused(self.people["bob"].get(f"{path}/qr"))
            await good(self.anna.post(f"{path}/cancel"))
            await refused(self.anna.get(f"{path}/qr"))

    async def _screen(self, url: str) -> None:
        async with self.witness.client(url) as screen:
            started = await good(screen.post("/api/sign-in/screens", json={"screen": "The wall"}))
            assert (await self.anna.post("/api/me/screens/look", json={"code": started["code"]})).status_code == 200
            await self.anna.post("/api/me/screens/approve", json={"code": started["code"]})
            path, poll = f"/api/sign-in/screens/{started['id']}/poll", {"poll_token": started["poll_token"]}
            state = await good(screen.post(path, json=poll))
        self.tokens["screen"] = {**state["session"], **started}

    async def pair(self, lamp: Child, ready: dict[str, Any]) -> None:
        """Bring the lamp into the kitchen: the first PIN is a wrong one."""
        wanted = {"method": "wired", "device_id": ready["id"], "name": "Reading lamp", "room_id": self.ids["room"]}
        path = f"{self.home}/pairing/{(await good(self.anna.post(f'{self.home}/pairing', json=wanted)))['id']}"
        for pin in (WRONG_PIN, PIN):
            await self.until(path, "asking")
            await good(self.anna.post(f"{path}/pin", json={"pin": pin}))
        session = await self.until(path, *ENDS)
        assert session["state"] == "joined", session
        await lamp.until(event="linked")
        self.ids["pairing"], self.ids["lamp"] = path, session["device_ids"][0]

    async def until(self, path: str, *states: str) -> dict[str, Any]:
        """The session once it is in one of these states; a wrong PIN is asked for again within one."""
        async with asyncio.timeout(WAIT):
            while True:
                session: dict[str, Any] = await good(self.anna.get(path))
                if session["state"] in states:
                    return session
                await asyncio.sleep(0.02)

    async def share(self) -> None:
        """Give Carol the lamp, by code; another share is offered and not taken up."""
        made = await good(self.anna.post(f"{self.lamp}/shares", json={"remark": "for Carol"}))
        accept = {"code": made["code"]}
        await good(self.people["carol"].post("/api/shares/accept", json=accept))
        self.tokens["open share"] = await good(self.anna.post(f"{self.lamp}/shares", json={"level": "view"}))

    async def switch(self, who: str, on: bool, *, wait: int = 20, expires_in: int = 60) -> dict[str, Any]:
        """Have the lamp switched; the command as far as it has come."""
        body = {"service": "light", "values": {"on": on}, "expires_in": expires_in}
        asked = self.people[who].post(f"{self.lamp}/commands", params={"wait": wait}, json=body)
        command: dict[str, Any] = await good(asked)
        return command

    async def seen(self) -> dict[str, Any]:
        """All that people see, by path: of the home, of the lamp, and of what was shared."""
        paths = [self.home, self.ids["pairing"], self.lamp, "/api/homes", "/api/me", "/api/me/keys"]
        paths += [
            f"{self.home}/{what}"
            for what in ("rooms", "members", "invitations", "shares", "devices", "pairing", "networks")
        ]
        paths += [f"{self.lamp}/{what}" for what in ("commands", "shares", "journal")]
        found = {path: await good(self.anna.get(path)) for path in (*paths, f"{self.home}/audit")}
        return {**found, "carol's": await good(self.people["carol"].get("/api/me/shares"))}

    async def mistakes(self, url: str, claim_code: str) -> None:
        """Secrets given where they open nothing, and as values that do not fit: each of these is refused."""
        tokens, anna = self.tokens, self.anna
        misplaced = tokens["open invitation"]["code"], tokens["open share"]["code"], tokens["screen"]["code"]
        secrets = [*PASSWORDS.values(), *misplaced, claim_code, *(t["access_token"] for t in (tokens["anna"],))]
        secrets += [tokens["bob"]["refresh_token"], tokens["key"]["secret"], tokens["screen"]["poll_token"]]
        async with self.witness.client(url) as anybody:
            for secret in secrets:
                await refused(anybody.get("/api/homes", headers={"Authorization": f"Bearer {secret} {secret}"}))
                await refused(anybody.get("/api/homes", params={"access_token": secret}))
                await refused(anybody.post("/api/sign-in", content=f'{{"login": "anna", "password": "{secret}", '))
                for body in ({"login": "anna", "password": [secret]}, {"login": {secret: secret}}, [secret], secret):
                    await refused(anybody.post("/api/sign-in", json=body))
                await refused(anybody.post("/api/sign-in/refresh", json={"refresh_token": secret + "x"}))
                await refused(anna.post("/api/homes", json={"name": "x", "time_zone": secret}))
                await refused(anna.post(f"{self.lamp}/commands", json={"service": "light", "values": {"on": secret}}))
            await refused(anna.post("/api/sign-in", json={"login": "bob", "password": PASSWORDS["anna"], "phone": "x"}))
            claim = {"login": "eve", "password": PASSWORDS["bob"], "name": "Eve", "phone": "x"}
            await refused(anybody.post("/api/hub/claim", json={"code": claim_code, **claim}))
            for path in ("/api/invitations/look", "/api/invitations/sign-up"):
                for code in (tokens["open share"]["code"], claim_code):
                    more = {} if path.endswith("look") else claim
                    await refused(anybody.post(path, json={"code": code, **more}))
            await refused(anna.post("/api/shares/look", json={"code": tokens["open invitation"]["code"]}))
            await refused(anna.post("/api/me/screens/look", json={"code": claim_code}))
        await refused(anna.post(f"{self.ids['pairing']}/pin", json={"pin": PIN}))
        await refused(anna.post(f"{self.home}/pairing", json={"method": "wired", "pin": PIN, "host": PIN * 9}))
        await refused(anna.post(f"{self.home}/pairing", json={"method": "magic", "pin": PIN}))
        await self._wifi_mistakes()

    async def _wifi_mistakes(self) -> None:
        """The Wi-Fi password where no network can have it, in a network no device could join, and in no code."""
        for secret in (WIFI["password"], OTHER_WIFI_PASSWORD):
            for network in (
                {"ssid": secret * 2},
                {"ssid": "x", "password": secret * 3},
                {"ssid": "x", "password": [secret]},
            ):
                await refused(self.anna.post(f"{self.home}/networks", json=network))
            for pairing in (
                {"method": "magic", "ssid": "x", "wifi_password": secret},
                {"method": "qr_shown", "wifi_password": secret},
                {"ssid": secret},
                {"code": f"WIFI:T:EAP;S:x;P:{secret};;"},
            ):
                await refused(self.anna.post(f"{self.home}/pairing", json=pairing))
            await refused(self.anna.post("/api/pairing/qr", json={"code": f"WIFI:T:WPA;S:x;P:{secret}\\"}))
            await refused(self.people["bob"].post(f"{self.home}/networks", json={"ssid": "x", "password": secret}))


def now() -> str:
    """The present, as a phone tells it to a hub that may have no clock."""
    return datetime.now(UTC).isoformat()


async def good(answer: Any) -> Any:
    """What was answered, which is no refusal."""
    response = await answer
    assert response.is_success, response.text
    return response.json() if response.content else None


async def refused(answer: Any) -> None:
    """It is refused, and nothing broke."""
    response = await answer
    assert 400 <= response.status_code < 500, (response.status_code, response.text)
