"""What a Wi-Fi network may be called and locked with."""

import pytest

from pairing.wifi import (
    BadBssidError,
    PasswordLengthError,
    SsidLengthError,
    UnfitNetworkError,
    WifiNetwork,
    network_of,
)


@pytest.mark.parametrize("ssid", ["x", "Ümläut & emoji 😀", "é" * 16, " " * 32])
@pytest.mark.parametrize("password", ["", "8letters", "p" * 63, "🔑" * 15, 'quotes " and \\'])
def test_what_fits_is_taken_byte_for_byte(ssid: str, password: str) -> None:
    assert network_of(ssid, password) == WifiNetwork(ssid, password)


@pytest.mark.parametrize(
    ("ssid", "password", "bssid", "error"),
    [
        ("", "", "", SsidLengthError),
        ("é" * 17, "", "", SsidLengthError),
        ("home", "seven77", "", PasswordLengthError),
        ("home", "p" * 64, "", PasswordLengthError),
        ("home", "🔑" * 16, "", PasswordLengthError),
        ("home\ud800", "", "", SsidLengthError),
        ("home", "password\ud800", "", PasswordLengthError),
        ("home", "", "no address", BadBssidError),
        ("home", "", "00:11:22:33:44", BadBssidError),
    ],
)
def test_what_no_device_could_join_is_refused(ssid: str, password: str, bssid: str, error: type) -> None:
    with pytest.raises(error) as raised:
        network_of(ssid, password, bssid)
    assert isinstance(raised.value, UnfitNetworkError)


def test_a_bssid_is_brought_into_one_form() -> None:
    assert network_of("home", "", "00-11-22-AA-BB-CC").bssid == "00:11:22:aa:bb:cc"


def test_neither_password_nor_token_is_shown() -> None:
    assert "canary" not in repr(network_of("home", "canary-password"))
