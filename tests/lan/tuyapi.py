"""The npm package @tuyapi/link, somebody else's EZ sender, run as a program on a host."""

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests import outside

# Sends until it is killed: a sending of its own lasts some seconds, and a person repeats it.
SENDER: Final = """
const {manual} = require(process.argv[1]);
const [region, token, secret, ssid, wifiPassword] = process.argv.slice(2);
const again = () => new manual().registerSmartLink({region, token, secret, ssid, wifiPassword}).then(again);
again();
"""


@cache
def require() -> Path:
    """The package's folder; skips the test where it is not to be had, and fails it in CI."""
    try:
        return outside.installed_from_npm(outside.TUYAPI)
    except (OSError, subprocess.CalledProcessError) as error:
        if os.environ.get("CI"):
            pytest.fail(f"{outside.TUYAPI} cannot be installed: {error}", pytrace=False)
        pytest.skip(f"{outside.TUYAPI} cannot be installed: {error}")


def command(folder: Path, ssid: str, password: str, token: str) -> list[str]:
    """What starts it: `token` is region, token and secret in one."""
    return ["node", "-e", SENDER, str(folder), token[:2], token[2:10], token[10:], ssid, password]
