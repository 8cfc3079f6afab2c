"""What `doorstep demo` tells: a hub, a virtual lamp and three people."""

import secrets
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from app.client import ApiError, Client
from app.commands.child import Child, HubProcess
from app.commands.following import STEPS, follow, waiting
from app.commands.story import Story
from app.errors import DoorstepError

SERVICE: Final = "light"
PROPERTY: Final = "on"
# How long an answer of the lamp is waited for, in seconds.
WAIT: Final = 15


class WentWrong(DoorstepError):
    """Something else happened than should have."""

    code = "demo_failed"


class Tale:
    """The demo, chapter by chapter. Its people are real accounts, and everything they do goes over HTTPS."""

    # What there is to be kept running.
    what = "Hub and lamp"

    def __init__(self, story: Story, folder: Path, *, lan: bool) -> None:
        self.story = story
        self.folder = folder
        self._lan = ["--lan"] if lan else []
        self.serving: list[str] = []
        self._password = secrets.token_urlsafe(12)
        self._login = {"password": self._password, "phone": "demo"}
        self.hub: HubProcess
        self.lamp: Child
        self.running: AsyncExitStack
        self._token = ""

    async def tell(self, running: AsyncExitStack) -> None:
        """All of it; hub and lamp end with `running`."""
        self.running = running
        anna = await self.begin_hub()
        home, room, carla = await self._people(anna)
        device_id = await self._pair(anna, home, room, await self._lamp())
        await self._switch(anna, device_id)
        await self._share(anna, carla, device_id)

    def kept(self) -> dict[str, object]:
        """How to reach what goes on running."""
        ready = self.hub.ready
        return {
            "url": ready["url"],
            "docs": f"{ready['url']}/api/docs",
            "pin": f"sha256/{ready['pin']}",
            "login": "anna",
            "password": self._password,
            "token": self._token,
            "data": str(self.folder / "hub"),
            "try": f"python3 -m app home list --data {self.folder / 'hub'}",
            "stop": " ".join(["kill", *(str(process.pid) for process in self.processes)]),
        }

    @property
    def processes(self) -> list[Child]:
        """What runs, in the order in which it is to be stopped."""
        return [self.lamp, self.hub]

    async def begin_hub(self) -> Client:
        self.story.begin("A hub on an empty folder")
        hub = HubProcess(self.folder / "hub", *self._lan, *self.serving, folder=self.folder)
        self.hub = await self.running.enter_async_context(hub)
        ready = self.hub.ready
        self.story.step("the hub answers", url=ready["url"])
        self.story.step("its key, for phones to pin", pin=f"sha256/{ready['pin'][:12]}...")
        phone = {"name": "Anna", "time": datetime.now(UTC).isoformat(), **self._login}
        who = {"code": ready["claim_code"], "login": "anna", **phone}
        claimed = await (await self.client()).post("/api/hub/claim", who)
        self._token = claimed["session"]["access_token"]
        self.story.step("Anna claims it with the code it printed, and tells it the time", code=ready["claim_code"])
        return await self.client(self._token)

    async def _people(self, anna: Client) -> tuple[str, str, Client]:
        self.story.begin("A home, its rooms, its people")
        home = await anna.post("/api/homes", {"name": "Our home", "time_zone": "Europe/Berlin"})
        self.story.step("Anna makes a home", home=home["name"])
        rooms = [await anna.post(f"/api/homes/{home['id']}/rooms", {"name": name}) for name in ("Living room", "Hall")]
        self.story.step("with rooms", rooms=", ".join(room["name"] for room in rooms))
        ben = await self._invited(anna, home["id"], "Ben")
        self.story.step("Ben joins with the code Anna gave him", role="member")
        flat = await ben.post("/api/homes", {"name": "Carla's flat", "time_zone": "Europe/Berlin"})
        carla = await self._invited(ben, flat["id"], "Carla")
        self.story.step("Carla lives elsewhere, and is in another home of this hub", home=flat["name"])
        return home["id"], rooms[0]["id"], carla

    async def _invited(self, by: Client, home_id: str, name: str) -> Client:
        made = await by.post(f"/api/homes/{home_id}/invitations", {"role": "member"})
        who = {"code": made["code"], "login": name.lower(), "name": name, **self._login}
        joined = await (await self.client()).post("/api/invitations/sign-up", who)
        return await self.client(joined["session"]["access_token"])

    async def _lamp(self) -> dict[str, Any]:
        self.story.begin("A lamp, as a process of its own")
        state = self.folder / "lamp.json"
        lamp = Child("device", "--product", "lamp", "--state", state, *self._lan, folder=self.folder)
        self.lamp = await self.running.enter_async_context(lamp)
        ready = await self.lamp.until(event="ready")
        self.story.step("it announces itself by mDNS", id=ready["id"], port=ready["port"])
        return ready

    async def _pair(self, anna: Client, home_id: str, room_id: str, lamp: dict[str, Any]) -> str:
        self.story.begin("Anna pairs it")
        wanted = {"name": "Reading lamp", "room_id": room_id, "device_id": lamp["id"]}
        session = started = await anna.post(f"/api/homes/{home_id}/pairing", wanted)
        confirmed = False
        async with aclosing(follow(anna, started)) as moments:
            async for session, steps in moments:
                for step in steps:
                    self.story.step(STEPS.get(step["key"], step["key"]), **step["detail"])
                if (attempts := waiting(session)) and not confirmed:
                    confirmed = True
                    await self._confirm(anna, session, attempts[0])
        if session["state"] != "joined":
            failure = session["failure"] or {"text": f"pairing ended as {session['state']}", "hint": ""}
            raise WentWrong(f"{failure['text']} {failure['hint']}")
        linked = await self.lamp.until(event="linked")
        self.story.step("the lamp connects back", port=linked["port"])
        return str(session["device_ids"][0])

    async def _confirm(self, anna: Client, session: Any, attempt: Any) -> None:
        """Compare what the hub shows with what the lamp itself shows, as the person in front of it would."""
        shown = await self.lamp.until(event="code")
        same = shown["code"] == attempt["code"]
        path = f"/api/homes/{session['home_id']}/pairing/{session['id']}/confirm"
        await anna.post(path, {"accepted": same, "attempt": attempt["number"]})
        if not same:
            raise WentWrong("hub and lamp show different codes: somebody stands between them")
        self.story.step("hub and lamp show the same code; Anna says yes", code=attempt["code"])

    async def _switch(self, anna: Client, device_id: str) -> None:
        self.story.begin("Anna switches it on")
        await self._set(anna, device_id, "Anna", True)
        await self._ask_lamp(anna, device_id, "Anna", True)

    async def _share(self, anna: Client, carla: Client, device_id: str) -> None:
        self.story.begin("Carla may use it for a while")
        await self._refused(carla, device_id, "before it is shared, Carla does not even see it")
        made = await anna.post(f"/api/devices/{device_id}/shares", {"login": "carla", "level": "control"})
        self.story.step("Anna shares the lamp with Carla, and nothing else", level="control")
        offered = [item async for item in carla.pages("/api/me/shares")]
        await carla.post(f"/api/me/shares/{offered[0]['id']}/accept")
        self.story.step("Carla accepts")
        await self._set(carla, device_id, "Carla", False)
        await self._ask_lamp(carla, device_id, "Carla", False)
        await anna.delete(f"/api/homes/{made['share']['home_id']}/shares/{made['share']['id']}")
        self.story.step("Anna ends the share")
        await self._refused(carla, device_id, "Carla tries again")

    async def _set(self, who: Client, device_id: str, name: str, on: bool) -> None:
        body = {"service": SERVICE, "kind": "set", "values": {PROPERTY: on}}
        command = await who.post(f"/api/devices/{device_id}/commands", body, wait=WAIT)
        demand_answer(command)
        self.story.step(f"{name} switches it {'on' if on else 'off'}; the lamp answers", command=command["id"])

    async def _ask_lamp(self, who: Client, device_id: str, name: str, on: bool) -> None:
        body = {"service": SERVICE, "kind": "get"}
        command = await who.post(f"/api/devices/{device_id}/commands", body, wait=WAIT)
        demand_answer(command)
        value = command["outcome"]["values"].get(PROPERTY)
        if value is not on:
            raise WentWrong(f"the lamp says {PROPERTY} is {value}, not {on}")
        self.story.step(f"{name} reads the value back from the lamp itself", **{PROPERTY: value})

    async def _refused(self, who: Client, device_id: str, text: str) -> None:
        body = {"service": SERVICE, "kind": "set", "values": {PROPERTY: True}}
        try:
            await who.post(f"/api/devices/{device_id}/commands", body)
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            self.story.step(f"{text}: refused", status=error.status, code=error.code)
        else:
            raise WentWrong("somebody without a right was let through")

    async def client(self, token: str | None = None) -> Client:
        return await self.running.enter_async_context(self.hub.client(token))


def demand_answer(command: dict[str, Any]) -> None:
    if command["state"] != "answered":
        why = (command["outcome"] or {}).get("error") or "no answer came"
        raise WentWrong(f"the lamp did not do it: the command is {command['state']}, {why}")
