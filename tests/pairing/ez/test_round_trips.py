"""What is encoded is decoded again, whatever it is. AirKiss, which has no reference, is held by this alone."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairing.ez import tuya
from pairing.ez.encodings import ENCODINGS
from pairing.ez.frames import Credentials
from pairing.ez.monitor import airkiss, decoders, esptouch1, esptouch2, tuya_broadcast
from pairing.ez.monitor.decoded import Decoder
from pairing.ez.monitor.tuya_multicast import TuyaMulticast
from pairing.wifi import WifiNetwork
from tests.pairing.ez.air import Air, hear

KEY = b"0123456789abcdef"
ALPHABET = st.one_of(st.characters(codec="utf-8"), st.sampled_from("🏠ü acfj\0\x7f"))


def fitting(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(ALPHABET, min_size=1, max_size=most).filter(lambda text: least <= len(text.encode()) <= most)


NETWORKS = st.builds(
    WifiNetwork,
    fitting(1, 32),
    st.one_of(st.just(""), fitting(8, 63), st.text("p🏠", min_size=8, max_size=15), st.just("x" * 63)),
    st.sampled_from(["", "aa:bb:cc:dd:ee:ff", "00:00:00:00:00:01"]),
)
TOKENS = st.text("abcXYZ0189", min_size=14, max_size=14).map(str.encode)
CREDENTIALS = st.builds(
    Credentials, network=NETWORKS, token=TOKENS, sender=st.ip_addresses(v=4).map(str), key=st.sampled_from([b"", KEY])
)
LANES: dict[str, Callable[[], Decoder]] = {
    "tuya": tuya_broadcast.decoder,
    "esptouch1": esptouch1.decoder,
    "esptouch2": lambda: esptouch2.decoder(KEY),
    "airkiss": airkiss.decoder,
}


@pytest.mark.parametrize("name", ENCODINGS)
@settings(max_examples=20, deadline=None)
@given(credentials=CREDENTIALS, seed=st.integers(0, 100))
def test_everything_comes_back(name: str, credentials: Credentials, seed: int) -> None:
    attempt = ENCODINGS[name].encode(credentials, Random(seed).randbytes)
    heard = hear(Air(seed=seed, overhead=seed), attempt, LANES[name](), credentials.network)
    assert heard is not None
    assert heard.wrong == 0
    if ENCODINGS[name].token:
        assert heard.decoded.token == credentials.token
    if name == "esptouch1":
        assert heard.decoded.network.bssid == credentials.network.bssid
        assert heard.decoded.sender == credentials.sender
    if name == "airkiss":
        assert heard.decoded.nonce == Random(seed).randbytes(1)[0]


@settings(max_examples=20, deadline=None)
@given(credentials=CREDENTIALS)
def test_so_it_does_on_the_multicast_lane_alone(credentials: Credentials) -> None:
    if len(credentials.network.password.encode()) > 48:
        assert tuya.multicast_lane(credentials) == []
        return
    heard = hear(Air(seed=1), tuya.encode(credentials, bytes), TuyaMulticast(), credentials.network)
    assert heard is not None
    assert heard.decoded.token == credentials.token


@pytest.mark.parametrize("name", ENCODINGS)
def test_one_listener_tells_the_encodings_apart(name: str) -> None:
    network = WifiNetwork("acfj 🏠", "acfjacfj")
    credentials = Credentials(network=network, token=b"DSabcdefghijkm")
    attempt = ENCODINGS[name].encode(credentials, Random(1).randbytes)
    heard = hear(Air(seed=1), attempt, decoders.every(), network)
    assert heard is not None
    assert (heard.decoded.encoding, heard.wrong) == (name, 0)
