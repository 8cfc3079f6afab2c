"""The real command in a process of its own, to be killed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Imported early: httpx2 would read files for it on the event loop, at the first client.
import httpcore2  # noqa: F401
import httpx2
from msgspec import Struct


class Hub(Struct):
    """A hub as its own process; `ready` is what it said when it was."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    @property
    def url(self) -> str:
        return str(self.ready["url"])


@contextmanager
def serving(folder: Path) -> Iterator[Hub]:
    """`doorstep serve` until it is killed."""
    arguments = [
        "--data",
        str(folder),
        "--port",
        "0",
        "--link-port",
        "0",
        "--mqtt-port",
        "0",
        "--no-tls",
        "--json",
        "--log-level",
        "error",
    ]
    limits = {f"DOORSTEP_LIMITS__{name}": "1000000" for name in ("REQUESTS_PER_SECOND", "REQUEST_BURST")}
    with subprocess.Popen(
        [sys.executable, "-m", "app", "serve", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **limits, "DOORSTEP_NO_BOOTSTRAP": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            yield Hub(process, json.loads(process.stdout.readline()))
        finally:
            process.kill()


def client_of(hub: Hub, token: str = "") -> httpx2.AsyncClient:
    # Plain HTTP on this machine: no certificates to read, on the event loop at that.
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx2.AsyncClient(base_url=hub.url, headers=headers, timeout=60, verify=False, trust_env=False)


async def claim(hub: Hub) -> str:
    person = {"login": "anna", "password": "correct horse battery", "name": "Anna", "phone": "test"}
    async with client_of(hub) as client:
        answer = await client.post("/api/hub/claim", json={"code": hub.ready["claim_code"], **person})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["session"]["access_token"])
