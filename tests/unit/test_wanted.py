"""What a person wants paired, split into what may be read and what must not."""

import msgspec
import pytest

from app.errors import Invalid
from app.onboarding.wanted import NewPairing, wanted

SECRETS = {"pin": "12345678", "pop": "abcd1234", "setup_password": "of the device", "wifi_password": "of the home"}


def test_what_is_secret_stands_nowhere_else() -> None:
    open_ones = {"ssid": "Home", "setup_ssid": "PROV_1", "encoding": "esptouch2"}
    made = wanted("home", "account", msgspec.convert({"method": "ap", **open_ones, **SECRETS}, NewPairing))
    assert made.request.inputs == open_ones
    assert made.secrets == SECRETS
    assert not [secret for secret in SECRETS.values() if secret in repr(made)]


def test_what_was_not_given_is_not_there() -> None:
    made = wanted("home", "account", NewPairing())
    assert (made.request.inputs, made.secrets, made.request.method) == ({}, {}, "any")


@pytest.mark.parametrize("new", [NewPairing(wifi_password="of the home"), NewPairing(bssid="00:11:22:33:44:55")])
def test_a_password_without_a_network_is_refused(new: NewPairing) -> None:
    with pytest.raises(Invalid):
        wanted("home", "account", new)
