"""The air: a process that relays frames between radios, as one access point and as many stations as there are.

A station that has joined no network hears the group frames of every one, as a radio in monitor mode does, and nothing
it sends goes anywhere. What is addressed to one station is repeated by real Wi-Fi until acknowledged, so only group
frames are lost, doubled and late.

It is told of stations by lines on standard input (`New`), answers each with a line, and ends with it. A station's own
socket, `FOLDER/NAME.sock`, takes `Wish`es: to join a network, or to open one (a soft AP). What was granted ends with
the connection it was asked over.
"""

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import msgspec
from msgspec import Struct

ETH_P_ALL: Final = 3
PACKET_VNET_HDR: Final = 15
SOL_PACKET: Final = 263
# Before each frame, what the kernel has still to do to it (checksum, segments): handed on, it does it at the end.
VNET_HEADER: Final = 10
LONGEST: Final = VNET_HEADER + 65_600
AT_ONCE: Final = 64


class Weather(Struct, frozen=True):
    """How many of a hundred group frames are lost, come twice, or come `late_ms` late."""

    loss: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    late_ms: float = 12.0


class Known(Struct, frozen=True):
    """A network: its name and password ("" for an open one)."""

    ssid: str
    password: str = ""


class New(Struct, frozen=True):
    """A station has been built: its frames are on `s-NAME`, and those of its soft AP on `a-NAME`."""

    name: str
    mac: str
    soft_ap: bool = False


class Wish(Struct, frozen=True):
    """What a station asks of its radio: one of them."""

    join: Known | None = None
    open: Known | None = None


class Start(Struct, frozen=True):
    """What the process is told with its first line."""

    folder: str
    home: Known
    weather: Weather = Weather()
    seed: int = 0


def fates(weather: Weather, seed: str) -> Callable[[], tuple[float, ...]]:
    """For one frame after the other, when its copies arrive: seconds from now, none where it is lost."""
    dice = Random(seed)

    def fate() -> tuple[float, ...]:
        lost, twice, late = (100 * dice.random() < share for share in (weather.loss, weather.twice, weather.late))
        delay = weather.late_ms / 1000 if late else 0.0
        return () if lost else (delay, delay) if twice else (delay,)

    return fate


class Port:
    """An interface on which frames are read and written as they are."""

    def __init__(self, interface: str, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind((interface, ETH_P_ALL))
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            for _ in range(AT_ONCE):
                frame, (_, _, direction, *_) = self._socket.recvfrom(LONGEST)
                if direction != socket.PACKET_OUTGOING:
                    self._take(frame)

    def send(self, frame: bytes) -> None:
        """What finds no room is lost, as on a wire."""
        with suppress(OSError):
            self._socket.send(frame)


class Network:
    """What an access point spans; `port` is where its wires are."""

    def __init__(self, known: Known, port: Port) -> None:
        self.known = known
        self.port = port


class Station:
    """A radio; `network` is the one it has joined, `soft_ap` the port of the one it may open."""

    def __init__(self, new: New, port: Port, fate: Callable[[], tuple[float, ...]]) -> None:
        self.name = new.name
        self.mac = bytes.fromhex(new.mac.replace(":", ""))
        self.port = port
        self.soft_ap: Port | None = None
        self.network: Network | None = None
        self._fate = fate

    def hear(self, network: Network, frame: bytes) -> None:
        """A frame that the network's access point sends."""
        if self.network not in (None, network):
            return
        if _is_group(frame):
            for delay in self._fate():
                asyncio.get_running_loop().call_later(delay, self.port.send, frame)
        elif self.network is network and _to(frame) == self.mac:
            self.port.send(frame)


class Air:
    """The networks there are, and who is on them."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._stations: dict[str, Station] = {}
        self._networks: list[Network] = []
        self._open(start.home, Port("home", partial(self._from_wires, "")))

    async def add(self, new: New) -> None:
        """Take in a station."""
        fate = fates(self._start.weather, f"{self._start.seed} {new.name}")
        station = Station(new, Port(f"s-{new.name}", partial(self._from_station, new.name)), fate)
        if new.soft_ap:
            station.soft_ap = Port(f"a-{new.name}", partial(self._from_wires, new.name))
        self._stations[new.name] = station
        serve = partial(self._serve, station)
        await asyncio.start_unix_server(serve, Path(self._start.folder) / f"{new.name}.sock")

    async def _serve(self, station: Station, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        undo: dict[str, Callable[[Station], None]] = {}
        with suppress(ConnectionError, asyncio.CancelledError):
            while line := await reader.readline():
                answer = self._grant(station, msgspec.json.decode(line, type=Wish), undo)
                writer.write(msgspec.json.encode(answer) + b"\n")
        for each in undo.values():
            each(station)
        writer.close()

    def _grant(self, station: Station, wish: Wish, undo: dict[str, Callable[[Station], None]]) -> dict[str, bool | str]:
        if wish.open is not None:
            assert station.soft_ap is not None
            self._open(wish.open, station.soft_ap)
            undo["open"] = self._close
            return {"opened": True}
        assert wish.join is not None
        undo["join"] = self._leave
        return self._join(station, wish.join)

    def _join(self, station: Station, known: Known) -> dict[str, bool | str]:
        station.network = None
        network = next((n for n in self._networks if n.known.ssid == known.ssid), None)
        if network is None:
            return {"refused": "no_such_network"}
        if network.known.password != known.password:
            return {"refused": "wrong_password"}
        station.network = network
        return {"joined": True}

    def _open(self, known: Known, port: Port) -> None:
        self._networks.append(Network(known, port))

    def _leave(self, station: Station) -> None:
        station.network = None

    def _close(self, station: Station) -> None:
        gone = [network for network in self._networks if network.port is station.soft_ap]
        for network in gone:
            self._networks.remove(network)
        for other in self._stations.values():
            if other.network in gone:
                other.network = None

    def _from_wires(self, owner: str, frame: bytes) -> None:
        """Of the home's bridge, or of the host whose soft AP this is."""
        port = self._stations[owner].soft_ap if owner else self._networks[0].port
        for network in self._networks:
            if network.port is port:
                self._say(network, frame)

    def _from_station(self, name: str, frame: bytes) -> None:
        sender = self._stations[name]
        if (network := sender.network) is None:
            return
        others = [s for s in self._stations.values() if s is not sender and s.network is network]
        if any(other.mac == _to(frame) for other in others) or _is_group(frame):
            self._say(network, frame, but=sender)
        network.port.send(frame)

    def _say(self, network: Network, frame: bytes, but: Station | None = None) -> None:
        for station in self._stations.values():
            if station is not but:
                station.hear(network, frame)


def _to(frame: bytes) -> bytes:
    return frame[VNET_HEADER : VNET_HEADER + 6]


def _is_group(frame: bytes) -> bool:
    return bool(frame[VNET_HEADER] & 1)


async def main() -> None:
    """Until standard input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    air = Air(msgspec.json.decode(await reader.readline(), type=Start))
    print("ready", flush=True)
    while line := await reader.readline():
        new = msgspec.json.decode(line, type=New)
        await air.add(new)
        print(new.name, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
