"""`doorstep doctor lan`: which ways from this machine to a device carry, and what stands in the way of the others."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import click
from msgspec import Struct, to_builtins

from app import admin_client
from app.commands.failures import told
from app.commands.findings import Finding, show
from app.commands.reach import data_folder, data_option
from app.commands.terminal import json_option
from pairing import lanes
from pairing.announcement import HubAnnouncement
from pairing.errors import PairingError
from pairing.interfaces import LOOPBACK, Address, Interfaces, addresses, is_loopback
from pairing.lanes import Lane, Tried
from pairing.mdns import browse_hubs

# A hub answers within 120 ms; it is asked at once, and again after a second.
HUBS_WITHIN = 2.5

WHAT = {
    Lane.MDNS_V4: "mDNS over IPv4 (finding devices)",
    Lane.MDNS_V6: "mDNS over IPv6 (finding devices)",
    Lane.EZ_BROADCAST: "EZ by broadcast (telling devices the Wi-Fi)",
    Lane.EZ_MULTICAST: "EZ by multicast (telling devices the Wi-Fi)",
}
OPEN = {
    Lane.MDNS_V4: "allow UDP 5353 to 224.0.0.251, in and out, in this machine's firewall (its service is called mdns)",
    Lane.MDNS_V6: "allow UDP 5353 to ff02::fb, in and out, in this machine's firewall (its service is called mdns)",
    Lane.EZ_BROADCAST: "allow UDP 30011 to 255.255.255.255; the multicast lane, or AP mode, does as well",
    Lane.EZ_MULTICAST: "allow UDP 30012 to 226.0.0.0/8; the broadcast lane, or AP mode, does as well",
}
_EZ = (Lane.EZ_BROADCAST, Lane.EZ_MULTICAST)
ALONE = (
    "if there are devices or computers: turn client isolation (guest mode) off; into another VLAN or subnet mDNS needs"
    " a reflector on the router (avahi: enable-reflector=yes); a switch with IGMP snooping needs a querier"
)
UNHEARD = "start it with --lan to be found from the network; and see what is blocked above"


class Looked(Struct, frozen=True):
    """What there was to see."""

    tried: list[Tried]
    neighbours: dict[str, int]
    hubs: list[HubAnnouncement]


@click.command("lan")
@click.option("--lan", is_flag=True, help="Try the network, not only this machine's loopback.")
@data_option
@json_option
@click.pass_context
def lan(context: click.Context, lan: bool, data: Path | None) -> None:
    """Say something on every way to a device, hear it back, and name what is blocked.

    What the access point keeps from others cannot be seen from one machine; who else answers is a sign.
    """
    with told():
        runs = _hub_runs(data_folder(data))
        looked = asyncio.run(_look(lan))
    blocked = sorted({tried.lane.value for tried in looked.tried if not tried.heard})
    findings = [*_of_lanes(looked.tried), *_of_neighbours(looked), *_of_hub(looked, runs)]
    show(context, findings, lanes=to_builtins(looked.tried), blocked=blocked, neighbours=looked.neighbours)


def _hub_runs(data: Path) -> bool:
    try:
        admin_client.call(data, "status", timeout=10)
    except admin_client.NoHub:
        return False
    return True


async def _look(lan: bool) -> Looked:
    interfaces: Interfaces = None if lan else LOOPBACK
    own = [each for each in sorted(addresses(), key=lambda a: (a.index, a.address)) if is_loopback(each.address) != lan]
    # One lane at a time on an interface, that none is heard for another; interfaces side by side.
    by_interface = [list(some) for _, some in groupby(own, lambda each: each.index)]
    tried, hubs = await asyncio.gather(asyncio.gather(*map(_try, by_interface)), _hubs(interfaces))
    return Looked([each for some in tried for each in some], await _neighbours(own) if lan else {}, hubs)


async def _try(own: Iterable[Address]) -> list[Tried]:
    return [await lanes.attempt(lane, each) for each in own for lane in lanes.lanes_of(each)]


async def _neighbours(own: Sequence[Address]) -> dict[str, int]:
    """How many others answer, by interface."""
    found: dict[str, set[str]] = {}
    for each in own:
        if Lane.MDNS_V4 in lanes.lanes_of(each):
            with suppress(OSError):
                found.setdefault(each.interface, set()).update(await lanes.neighbours(each))
    mine = {each.address for each in own}
    return {interface: len(others - mine) for interface, others in found.items()}


async def _hubs(interfaces: Interfaces) -> list[HubAnnouncement]:
    heard: dict[str, HubAnnouncement] = {}
    with suppress(PairingError, TimeoutError):
        async with asyncio.timeout(HUBS_WITHIN), browse_hubs(interfaces) as browser:
            async for news in browser:
                if isinstance(news, HubAnnouncement):
                    heard[news.id] = news
    return list(heard.values())


def _of_lanes(tried: Sequence[Tried]) -> Iterable[Finding]:
    if not tried:
        yield Finding("network", "bad", "no interface carries anything", "plug in the cable, or join the Wi-Fi")
    for lane, some in groupby(sorted(tried, key=lambda each: list(Lane).index(each.lane)), lambda each: each.lane):
        trials = list(some)
        deaf = [each for each in trials if not each.heard]
        carried = ", ".join(dict.fromkeys(each.interface for each in trials if each.heard))
        if not deaf:
            yield Finding(WHAT[lane], "ok", f"heard back on {carried}")
            continue
        where = ", ".join(f"{each.interface} {each.address} ({each.reason})" for each in deaf)
        rest = f"; heard back on {carried}" if carried else ""
        state = "bad" if _needed(lane, tried) else "note"
        yield Finding(WHAT[lane], state, f"blocked on {where}{rest}", OPEN[lane])


def _needed(lane: Lane, tried: Sequence[Tried]) -> bool:
    """Whether nothing else does what this blocked lane is for: IPv6 stands beside IPv4, EZ has two lanes."""
    beside = {Lane.MDNS_V6: {Lane.MDNS_V4}, Lane.MDNS_V4: set[Lane]()}.get(lane, {*_EZ})
    return not any(each.heard for each in tried if each.lane in beside)


def _of_neighbours(looked: Looked) -> Iterable[Finding]:
    for interface, count in looked.neighbours.items():
        if count:
            yield Finding(f"others on {interface}", "ok", f"{count} answered")
        else:
            yield Finding(f"others on {interface}", "note", "nobody else answered", ALONE)


def _of_hub(looked: Looked, runs: bool) -> Iterable[Finding]:
    for hub in looked.hubs:
        yield Finding("hub", "ok", f"{hub.id} announces itself at {' '.join(hub.addresses)}, TCP {hub.port}")
    if runs and not looked.hubs:
        yield Finding("hub", "note", "the hub on this machine is not heard here", UNHEARD)
