"""Who is heard before he is understood: so much from one source, and this machine always."""

import asyncio
from typing import Any

from pairing.ear import AT_ONCE, MAX_SOURCES, PER_SECOND, Ear, Sources, put_ear


def test_a_source_may_say_so_much_and_recovers() -> None:
    sources = Sources()
    assert sum(sources.may_speak("192.0.2.66", 0.0) for _ in range(100_000)) == AT_ONCE
    assert sources.may_speak("192.0.2.7", 0.0)
    assert sum(sources.may_speak("192.0.2.66", 1.0) for _ in range(1_000)) == PER_SECOND
    assert sum(sources.may_speak("192.0.2.66", 1_000.0) for _ in range(1_000)) == AT_ONCE


def test_this_machine_may_say_everything() -> None:
    sources = Sources()
    assert all(sources.may_speak("127.0.0.1", 0.0) for _ in range(2 * AT_ONCE))
    assert all(sources.may_speak("::1", 0.0) for _ in range(2 * AT_ONCE))
    assert len(sources) == 0


def test_sources_are_forgotten_when_there_are_many() -> None:
    sources = Sources()
    for number in range(3 * MAX_SOURCES):
        assert sources.may_speak(f"fe80::{number:x}%eth0", 0.0)
    assert len(sources) == MAX_SOURCES


async def test_the_inner_protocol_is_told_with_the_source_at_hand() -> None:
    sources = Sources()
    heard: list[tuple[bytes, str]] = []

    class Inner(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            heard.append((data, sources.current))

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Inner, local_addr=("127.0.0.1", 0))
    put_ear(transport, sources)
    ear = transport.get_protocol()
    put_ear(transport, sources)
    assert transport.get_protocol() is ear
    assert isinstance(ear, Ear)
    ear._now = lambda: 0.0
    for _ in range(AT_ONCE + 50):
        ear.datagram_received(b"x", ("192.0.2.66", 5353))
    ear.datagram_received(b"z", ("::ffff:192.0.2.66", 5353, 0, 0))
    ear.datagram_received(b"y", ("192.0.2.7", 5353))
    assert len(heard) == AT_ONCE + 1
    assert heard[-1] == (b"y", "192.0.2.7")
    assert sources.current == ""
    transport.close()
    await asyncio.sleep(0)  # it closes its socket in the loop's next turn
