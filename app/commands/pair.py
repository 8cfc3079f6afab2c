"""`doorstep pair`: bring a device into a home, with every step shown as it happens."""

import asyncio
from contextlib import aclosing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
from msgspec import Struct

from app.client import Client
from app.commands.by_phone import SetupAddress, tell_device
from app.commands.exits import Exit
from app.commands.following import STEPS, Session, follow, waiting
from app.commands.reach import api_verb, home_of, home_option, named
from app.commands.terminal import CommandError, event, out, plain, table, wants_json
from app.commands.wifi import wifi_fields, wifi_password_option
from app.errors import DoorstepError
from pairing.messages import MAX_JOINING
from pairing.qr import picture

INBOX: Final = ("id", "product", "name", "method", "auth", "address", "last_seen")
PATIENCE: Final = "The device must be on and not paired; a virtual one: doorstep device --product lamp"


class Answers(Struct, frozen=True):
    """What the command line answers, so that nobody has to be asked."""

    label_pin: str | None
    device: str | None
    yes: bool
    setup: SetupAddress | None = None


@click.command()
@home_option
@click.option("--room", help="Put it into this room (id or name).")
@click.option("--name", help="What to call it.")
@click.option("--device", help="Pair the device with this id, whatever else is found.")
@click.option("--address", metavar="HOST:PORT", help="Where the device is, when it cannot be found by itself.")
@click.option("--label-pin", help="The PIN on the device's label.")
@click.option("--code", metavar="TEXT", help="What the QR code on the device says: it tells how to go on.")
@click.option("--method", help="Pair in this way only: wired, qr_shown, ...  [default: any that works]")
@click.option("--ssid", help="The Wi-Fi it is to join. Its password is asked for, unless the home knows it.")
@click.option("--bssid", help="Of the 2.4 GHz radio of that Wi-Fi, where it matters which.")
@wifi_password_option
@click.option("--forget-wifi", is_flag=True, help="Do not keep the Wi-Fi for the next pairing.")
@click.option("--list", "lists", is_flag=True, help="Only show the devices on the network that are in no home yet.")
@click.option("--finish", metavar="SESSION", help="That is all: no further devices for this session, with --want.")
@click.option("--encoding", type=click.Choice(["tuya", "esptouch2", "all"]), help="What EZ speaks.  [default: tuya]")
@click.option("--setup-ssid", help="The device's own setup network, where several are in reach.")
@click.option("--setup-address", metavar="HOST:PORT", help="Be the phone: tell the device there, in its setup network.")
@click.option("--ble-name", help="The name or address a device with Wi-Fi has over Bluetooth, where there are several.")
@click.option("--bind-key", help="What deciphers a BTHome sensor, 32 hexadecimal digits: its maker's app shows it.")
@click.option("--pop", help="The proof of possession printed on a device with a setup network.")
@click.option("--oob", metavar="HEX", help="The secret on the label of a mesh device.")
@click.option("--unseen", is_flag=True, help="Take mesh devices without asking whether they are the ones that blink.")
@click.option("--gateway", help="Let devices join behind this gateway (id or name).")
@click.option("--seconds", type=click.IntRange(1, MAX_JOINING), help="How long the gateway lets them.  [default: 180]")
@click.option("--want", type=click.IntRange(1, 32), default=1, help="How many devices to bring in.  [default: 1]")
@click.option("--yes", is_flag=True, help="Take the code as confirmed without asking: only where nobody can interfere.")
@api_verb
async def pair(
    api: Client,
    *,
    home_name: str | None,
    room: str | None,
    name: str | None,
    device: str | None,
    address: str | None,
    label_pin: str | None,
    code: str | None,
    method: str | None,
    ssid: str | None,
    bssid: str | None,
    password_file: Path | None,
    forget_wifi: bool,
    lists: bool,
    finish: str | None,
    encoding: str | None,
    setup_ssid: str | None,
    setup_address: str | None,
    ble_name: str | None,
    bind_key: str | None,
    pop: str | None,
    oob: str | None,
    unseen: bool,
    gateway: str | None,
    seconds: int | None,
    want: int,
    yes: bool,
) -> None:
    """Bring a device into a home, or several, and show each step with its time.

    Ctrl-C cancels the session; the hub closes everything it opened for it. A device that is in the home stays there.
    """
    home = await home_of(api, home_name)
    if lists:
        found = await api.get(f"/api/homes/{home['id']}/pairing/inbox")
        table(found, INBOX, empty=f"Nobody is there. {PATIENCE}")
        return
    if finish is not None:
        show_results(await api.post(f"/api/homes/{home['id']}/pairing/{finish}/finish"))
        return
    wanted: dict[str, Any] = {"name": name, "device_id": device, "pin": label_pin, "want": want}
    wanted |= {"code": code, "method": method, "encoding": encoding, "setup_ssid": setup_ssid, "pop": pop}
    wanted |= {"ble_name": ble_name, "bind_key": bind_key, "oob": oob, "identify": False if unseen else None}
    if ssid is not None:
        wanted |= {**await wifi_fields(api, home, ssid, password_file), "bssid": bssid}
    if forget_wifi:
        wanted["keep_network"] = False
    if room:
        wanted["room_id"] = (await named(api, f"/api/homes/{home['id']}/rooms", room, "room"))["id"]
    if address:
        wanted |= _address(address)
    if gateway:
        found = await named(api, f"/api/homes/{home['id']}/devices", gateway, "gateway")
        wanted |= {"method": "gateway", "gateway_id": found["id"], "seconds": seconds}
    setup = SetupAddress(**_address(setup_address), pop=pop or "") if setup_address else None
    answers = Answers(label_pin, device, yes, setup)
    given = {key: value for key, value in wanted.items() if value is not None}
    await _pair(api, f"/api/homes/{home['id']}/pairing", given, answers)


async def _pair(api: Client, pairings: str, wanted: dict[str, Any], answers: Answers) -> None:
    """A session, from its start to its end."""
    session = await api.post(pairings, wanted)
    path, several = f"{pairings}/{session['id']}", wanted["want"] > 1
    if several:
        event({"session": session["id"]}, f"  [dim]If fewer come: doorstep pair --finish {session['id']}[/]")
    try:
        ended = await _until_ended(api, path, session, answers)
    except BaseException:  # interrupted, or nobody could be asked: the hub need not wait for it
        with suppress(DoorstepError):
            await api.post(f"{path}/cancel")
        raise
    if several:
        show_results(ended)
    if ended["state"] != "joined":
        raise _refusal(ended)


def _address(address: str) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise CommandError(f"{address} is no HOST:PORT.", exit=Exit.USAGE, code="usage")
    return {"host": host.strip("[]"), "port": int(port)}


async def _until_ended(api: Client, path: str, started: Session, answers: Answers) -> Session:
    asked: set[tuple[str, int]] = set()
    session = started
    async with aclosing(follow(api, started)) as moments:
        async for session, steps in moments:
            for step in steps:
                await _follow_step(api, path, step, session["created_at"], answers)
            if session["state"] == "found" and ("found", 0) not in asked:
                asked.add(("found", 0))
                chosen = answers.device or await _choose(session)
                await api.post(f"{path}/choose", {"candidate_id": chosen})
            for attempt in waiting(session):
                if (mark := (attempt["state"], attempt["number"])) not in asked:
                    asked.add(mark)
                    await _answer(api, path, attempt, answers)
    return session


async def _follow_step(api: Client, path: str, step: Any, began: str, answers: Answers) -> None:
    show(step, began)
    if step["key"] == "show_qr":
        await _show_code(api, path)
    if step["key"] == "phone_local" and answers.setup is not None:
        await tell_device(api, path, answers.setup)


async def _show_code(api: Client, path: str) -> None:
    """The code for a camera. It holds the Wi-Fi password: to a screen, or to a script that asked for all there is."""
    if not (wants_json() or out().is_terminal):
        event({}, f"  [dim]The picture: GET {path}/qr[/]")
        return
    text = await api.text(f"{path}/qr", "text/plain")
    if wants_json():
        event({"show": text}, "")
    else:
        click.echo(picture.terminal(text))


async def _answer(api: Client, path: str, attempt: Any, answers: Answers) -> None:
    which = plain(attempt["name"] or attempt["product"] or "the device")
    if attempt["state"] == "asking":
        question = f"PIN on the label of {which}, or the code that it shows"
        pin = answers.label_pin or await _ask(lambda: click.prompt(question, err=True), "--label-pin")
        await _tell(api, f"{path}/pin", {"pin": pin, "attempt": attempt["number"]})
        return
    question = f"Does {which} show {attempt['code']}?" if attempt["code"] else f"Is {which} the one that blinks?"
    accepted = answers.yes or await _ask(lambda: click.confirm(question, err=True), "--yes")
    await _tell(api, f"{path}/confirm", {"accepted": accepted, "attempt": attempt["number"]})


async def _tell(api: Client, path: str, word: dict[str, Any]) -> None:
    """A word to one attempt; it may have ended while the person looked at another device."""
    try:
        await api.post(path, word)
    except DoorstepError as error:
        if error.code != "not_now":
            raise


async def _choose(session: Session) -> str:
    for number, found in enumerate(session["candidates"], 1):
        event(found, f"  [bold]{number}[/] {plain(found['name'] or found['product'])} [dim]{plain(found['id'])}[/]")
    most = len(session["candidates"])
    number = await _ask(lambda: click.prompt("Which one", type=click.IntRange(1, most), err=True), "--device")
    return str(session["candidates"][number - 1]["id"])


async def _ask(question: Any, flag: str) -> Any:
    """Ask the person while the steps go on; a script has nobody to ask and is told the flag instead."""
    if wants_json():
        raise CommandError("Nobody can be asked with --json.", exit=Exit.USAGE, code="usage", hint=f"Give {flag}.")
    return await asyncio.to_thread(question)


def show(step: Any, began: str) -> None:
    """One step: seconds since the session began, what happened, and its facts."""
    facts = " ".join(f"{key}={value}" for key, value in step["detail"].items())
    text, seconds = STEPS.get(step["key"], step["key"]), seconds_between(began, step["at"])
    event(step, f"[dim]{seconds:7.3f} s[/]  {plain(text)} [dim]{plain(facts)}[/]")


def show_results(session: Session) -> None:
    """One line a device: whether it joined, or why not."""
    for result in session["results"]:
        became = "joined" if result["device_id"] else result["cause"] or result["state"]
        event(result, f"  {plain(result['name'] or result['candidate_id'])}: {plain(became)}")


def seconds_between(began: str, at: str) -> float:
    """Seconds from one RFC 3339 time to another."""
    return (datetime.fromisoformat(at) - datetime.fromisoformat(began)).total_seconds()


def _refusal(session: Session) -> CommandError:
    failures = [session["failure"], *(attempt["failure"] for attempt in reversed(session["attempts"]))]
    failure = next(filter(None, failures), None)
    if failure is None:
        return CommandError(f"The session ended as {session['state']}.", exit=Exit.DEVICE, code=session["state"])
    return CommandError(failure["text"], exit=Exit.DEVICE, code=failure["cause"], hint=failure["hint"] or PATIENCE)
