"""What `doorstep demo --mesh` tells: a switch with three outlets becomes a node of a Bluetooth mesh, and leaves it."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from typing import Any, Final

from app.client import Client
from app.commands.child import PATIENCE_SECONDS, Child
from app.commands.following import STEPS, follow, waiting
from app.commands.tale import WAIT, Tale, WentWrong, demand_answer

SERVICE: Final = "outlet"
OUTLETS: Final = 3
LOOK_S: Final = 0.1


class MeshTale(Tale):
    """Everything goes over Bluetooth but for what people say to the hub; the air is a process as well."""

    air: Child

    async def tell(self, running: AsyncExitStack) -> None:
        """All of it."""
        self.running = running
        await self._air()
        anna = await self.begin_hub()
        home = await anna.post("/api/homes", {"name": "Our home", "time_zone": "Europe/Berlin"})
        self.story.step("Anna makes a home", home=home["name"])
        node = await self._node()
        self.story.begin("Anna adds it to her mesh")
        devices = await self._add(anna, home["id"], node)
        await self._one(anna, devices[0])
        await self._all(anna, home["id"], devices)
        await self._reset(anna, devices)
        self.story.begin("Anna adds it again")
        again = await self._add(anna, home["id"], node)
        await self._one(anna, again[0])

    @property
    def processes(self) -> list[Child]:
        """What runs, in the order in which it is to be stopped."""
        return [self.lamp, self.hub, self.air]

    async def _air(self) -> None:
        self.story.begin("The air between a hub and devices, where there is no Bluetooth")
        self.air = await self.running.enter_async_context(Child("air", "--port", "0", folder=self.folder))
        ready = await self.air.until(event="ready")
        self.serving = ["--bluetooth", ready["setting"]]
        self.story.step("it can be heard", port=ready["port"])

    async def _node(self) -> dict[str, Any]:
        self.story.begin("A switch with three outlets, as a process of its own")
        what = ("--method", "mesh", "--product", "mesh_switch", "--outlets", str(OUTLETS))
        disk = ("--state", self.folder / "node.json")
        self.lamp = Child("device", *what, *disk, *self.serving, folder=self.folder)
        await self.running.enter_async_context(self.lamp)
        ready = await self.lamp.until(event="ready")
        self.story.step("it says over Bluetooth that it is in no mesh", id=ready["id"][:13] + "...")
        return ready

    async def _add(self, anna: Client, home_id: str, node: dict[str, Any]) -> list[str]:
        wanted = {"method": "mesh", "device_id": node["id"], "name": "Outlet"}
        session = started = await anna.post(f"/api/homes/{home_id}/pairing", wanted)
        confirmed = False
        async with aclosing(follow(anna, started)) as moments:
            async for session, steps in moments:
                for step in (one for one in steps if one["key"] != "confirm"):  # there is no code: it blinks
                    self.story.step(STEPS.get(step["key"], step["key"]), **step["detail"])
                if (attempts := waiting(session)) and not confirmed:
                    confirmed = True
                    await self._accept(anna, session, attempts[0])
        if session["state"] != "joined":
            failure = session["failure"] or {"text": f"pairing ended as {session['state']}", "hint": ""}
            raise WentWrong(f"{failure['text']} {failure['hint']}")
        provisioned = await self.lamp.until(event="provisioned")
        self.story.step("the switch is a node of the mesh", address=provisioned["address"])
        return await self._there(anna, home_id)

    async def _accept(self, anna: Client, session: Any, attempt: Any) -> None:
        """Look whether it is this one that blinks, as the person in front of it would."""
        await self.lamp.until(event="attention")
        path = f"/api/homes/{session['home_id']}/pairing/{session['id']}/confirm"
        await anna.post(path, {"accepted": True, "attempt": attempt["number"]})
        self.story.step("it blinks; Anna says yes")

    async def _there(self, anna: Client, home_id: str) -> list[str]:
        """Its outlets, once the hub hears of each."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                shown = [device async for device in anna.pages(f"/api/homes/{home_id}/devices")]
                found = sorted(shown, key=lambda device: str(device["name"]))
                if len(found) == OUTLETS and all(device["online"] for device in found):
                    break
                await asyncio.sleep(LOOK_S)
        self.story.step("each of its outlets is a device of the home", devices=", ".join(it["name"] for it in found))
        return [device["id"] for device in found]

    async def _one(self, anna: Client, device_id: str) -> None:
        self.story.begin("Anna switches one outlet on")
        body = {"service": SERVICE, "values": {"on": True}}
        command = await anna.post(f"/api/devices/{device_id}/commands", body, wait=WAIT)
        demand_answer(command)
        switched = await self.lamp.until(event="switched", on=True)
        self.story.step("it is on, and no other", element=switched["element"])

    async def _all(self, anna: Client, home_id: str, devices: list[str]) -> None:
        self.story.begin("Anna switches all of them off with one message")
        group = await anna.post(f"/api/homes/{home_id}/groups", {"name": "All outlets", "devices": devices})
        await self._until(anna, "mesh_listeners", OUTLETS)
        self.story.step("the outlets listen to the group's own address", group=group["name"])
        for on in (True, False):
            body = {"service": SERVICE, "values": {"on": on}}
            before = await self._metric(anna, "mesh_group_messages")
            given = await anna.post(f"/api/groups/{group['id']}/commands", body)
            await self._answered(anna, [one["id"] for one in given["commands"]], devices)
            messages = int(await self._metric(anna, "mesh_group_messages") - before)
            if messages != 1:
                raise WentWrong(f"{messages} messages to the group, where one should do")
            self.story.step(f"all are {'on' if on else 'off'}", messages=messages, answers=len(given["commands"]))
        await anna.delete(f"/api/groups/{group['id']}")

    async def _answered(self, anna: Client, commands: list[str], devices: list[str]) -> None:
        for device_id, command_id in zip(devices, commands, strict=True):
            path = f"/api/devices/{device_id}/commands/{command_id}"
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    command = await anna.get(path)
                    if command["state"] not in ("queued", "sent", "delivered"):
                        break
                    await asyncio.sleep(LOOK_S)
            demand_answer(command)

    async def _reset(self, anna: Client, devices: list[str]) -> None:
        self.story.begin("Anna removes it")
        for device_id in devices:
            await anna.delete(f"/api/devices/{device_id}")
        await self.lamp.until(event="reset")
        self.story.step("the switch forgets the mesh, and belongs to nobody")

    async def _until(self, anna: Client, metric: str, least: float) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                if await self._metric(anna, metric) >= least:
                    return
                await asyncio.sleep(LOOK_S)

    async def _metric(self, anna: Client, name: str) -> float:
        page = await anna.text("/metrics")
        return next(float(line.split()[-1]) for line in page.splitlines() if line.startswith(f"doorstep_{name} "))
