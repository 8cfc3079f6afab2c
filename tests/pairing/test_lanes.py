"""The lanes of the LAN, tried in a namespace with a second host behind a cable."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pairing import lanes
from pairing.interfaces import Address
from pairing.lanes import Lane

ROOT = Path(__file__).parents[2]

TWO_HOSTS = """
ip link set lo up
unshare -n sleep 100 & there=$!
while [ "$(readlink /proc/$there/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add lan0 type veth peer name lan1
ip link set lan1 netns $there
ip link set lan0 up
ip addr add 192.0.2.1/24 dev lan0
nsenter -t $there -n sh -c 'ip link set lo up; ip addr add 192.0.2.2/24 dev lan1; ip link set lan1 up'
while ip -6 addr show dev lan0 | grep -q tentative; do sleep 0.1; done
nsenter -t $there -n {python} -c '{neighbour}' > /dev/null & neighbour=$!
"""

NEIGHBOUR = """
import asyncio
from pairing.mdns import announcing, device_service
async def main():
    async with announcing(device_service("d-" + "a" * 24, product="lamp", port=4711, paired=False), ("192.0.2.2",)):
        await asyncio.sleep(100)
asyncio.run(main())
"""

_TRYING = """
import asyncio, json, socket
from pairing.interfaces import addresses
from pairing.lanes import Lane, attempt, lanes_of, neighbours
async def main():
    own = {each.address: each for each in addresses() if each.interface == "lan0"}
    v4 = own.pop("192.0.2.1")
    for address in (v4, *own.values()):
        for lane in lanes_of(address):
            print(json.dumps([lane, (await attempt(lane, address)).reason]), flush=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
        another.bind(("", 30012))
        print(json.dumps(["taken", (await attempt(Lane.EZ_MULTICAST, v4)).reason]))
    async with asyncio.timeout(30):
        while not (others := await neighbours(v4)):
            pass
    print(json.dumps(["neighbours", sorted(others)]))
asyncio.run(main())
"""


def in_a_namespace(*command: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run it on a host with a neighbour, who announces a lamp."""
    hosts = TWO_HOSTS.format(python=sys.executable, neighbour=NEIGHBOUR)
    script = f'{hosts}\n"$@"; status=$?; kill $neighbour $there; exit $status'
    return subprocess.run(
        ["unshare", "-Urn", "sh", "-c", script, "sh", *command],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        check=False,
    )


def test_every_lane_is_heard_back_and_the_neighbour_answers() -> None:
    done = in_a_namespace(sys.executable, "-c", _TRYING)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        ["mdns-ipv4", ""],
        ["ez-broadcast", ""],
        ["ez-multicast", ""],
        ["mdns-ipv6", ""],
        ["taken", "address already in use"],
        ["neighbours", ["192.0.2.2"]],
    ]


async def test_what_is_not_there_has_no_lanes_and_is_not_heard() -> None:
    nowhere = Address("lan77", 77, "192.0.2.77")
    assert lanes.lanes_of(nowhere) == ()
    tried = await lanes.attempt(Lane.EZ_MULTICAST, nowhere)
    assert (tried.heard, tried.reason) == (False, "no such device")
    assert (await lanes.attempt(Lane.MDNS_V4, nowhere)).heard is False


async def test_silence_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "HEARD_WITHIN", 0.05)
    monkeypatch.setattr(lanes, "EZ_GROUP", "226.120.84.90")
    with lanes._listener(Address("lo", 1, "127.0.0.1"), "226.120.84.91", 0) as ear:
        assert await lanes._hears(ear, b"nothing") == "not heard back"
