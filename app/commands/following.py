"""A pairing session as its steps happen, and the answers it waits for."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Final

from app.client import Client
from app.errors import DoorstepError

TERMINAL: Final = frozenset({"joined", "failed", "cancelled", "expired"})
# The stream says when to look; this is for when the stream itself broke.
LOOK_AGAIN_SECONDS: Final = 2.0

Session = dict[str, Any]

# The steps of a session in English; a key that is not here is shown as it is.
STEPS: Final = {
    "preparing": "getting ready",
    "starting": "trying several ways",
    "switching": "no sign of a device: trying another way",
    "still_searching": "still listening",
    "searching": "listening for devices",
    "show_qr": "hold this code before the device's camera",
    "lanes": "going to speak into the air",
    "sending": "the hub speaks into the air",
    "decoded": "a device says that it has understood, and is on the network",
    "looking_for_setup_network": "looking for the device's setup network",
    "joining_setup_network": "joining the device's setup network",
    "wifi_not_in_its_sight": "the device does not see that Wi-Fi from where it is",
    "telling_device": "telling the device which Wi-Fi to join",
    "device_told": "the device has been told",
    "device_joined_wifi": "the device says that it is on the Wi-Fi",
    "listening_on_lan": "listening for it on the network",
    "listening_to_sensor": "listening to all that the sensor says",
    "no_spare_radio": "the hub has no Wi-Fi radio to spare for this",
    "phone_local": "join the device's setup network with the phone, and send it the settings",
    "nothing_heard": "nothing heard so far",
    "search_failed": "this way of searching does not work here",
    "resumed": "the hub was restarted, and goes on",
    "found": "found a device",
    "lost": "it is not announced any more",
    "choose": "several were found: which one?",
    "chosen": "chosen",
    "connecting": "connecting to it",
    "pin_needed": "it has a PIN on its label",
    "pin_given": "PIN given",
    "wrong_proof": "who answers there is another",
    "proving": "hub and device prove themselves to each other",
    "identify": "the device blinks: is it the one?",
    "code_at_device": "the device shows a code, to be typed here",
    "enter_at_device": "enter this at the device",
    "mesh_handing_over": "handing the keys of the mesh over",
    "mesh_configuring": "telling the node what it may do, and whom to tell",
    "confirm": "compare the code with what the device shows",
    "confirmed": "code confirmed",
    "handing_over": "handing over what the device needs",
    "joining": "the device is ready; writing it down",
    "registered": "it belongs to the home now, on disk",
    "finishing": "no further devices",
    "joined": "joined",
    "attempt_failed": "that did not work",
    "not_registered": "it could not be written down",
}


async def follow(api: Client, session: Session) -> AsyncGenerator[tuple[Session, list[Any]], None]:
    """The session each time it has moved, with the steps that are new; the last one is terminal.

    It is read anew whenever the event stream says that something happened, so nothing is missed and nothing told twice.
    """
    path = f"/api/homes/{session['home_id']}/pairing/{session['id']}"
    told, state = 0, ""
    async with listening(api) as news:
        while True:
            steps = [step for step in session["steps"] if step["seq"] > told]
            if steps or session["state"] != state:
                told = max([told, *(step["seq"] for step in steps)])
                state = session["state"]
                yield session, steps
            if state in TERMINAL:
                return
            await news()
            session = await api.get(path)


async def changes(api: Client, path: str, began: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    """A move to another Wi-Fi network each time something of it is new, until only who is not reached is awaited."""
    told, moved = None, began
    async with listening(api) as news:
        while True:
            moving = [device for device in moved["devices"] if device["state"] in ("told", "trying", "keeping")]
            if moved["devices"] != told:
                told = moved["devices"]
                yield moved
            if moved["state"] != "open" or (not moving and moved is not began):
                return
            await news()
            moved = await api.get(path)


@contextlib.asynccontextmanager
async def listening(api: Client) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """What to await, for the block, until it is time to look: something happened since, or a while has gone by."""
    happened = asyncio.Event()

    async def news() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                await happened.wait()
        happened.clear()

    task = asyncio.create_task(_listen(api, happened))
    try:
        yield news
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _listen(api: Client, news: asyncio.Event) -> None:
    """Set `news` whenever the event stream says anything, and once it is connected; until it is cancelled."""
    while True:
        with contextlib.suppress(DoorstepError):
            async with api.events() as stream:
                news.set()
                async for _ in stream:
                    news.set()
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def waiting(session: Session) -> list[Any]:
    """The attempts that wait for the person (their `state` is asking or confirming), oldest first."""
    return [one for one in session["attempts"] if one["state"] in ("asking", "confirming")]
