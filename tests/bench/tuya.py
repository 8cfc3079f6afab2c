"""`python -m tests.bench.tuya`: a signed request of Tuya's API beside the companion API's, in one run.

Both are reads of one device by an ordinary route: the companion's short way is kept out of it by a query. One core for
the server, one for the load; requests are signed before they are measured. Ratios are what counts.
"""

import argparse
import asyncio
import hashlib
import hmac
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import uvloop

from app.dialects.tuya.signing import Request as SignedRequest
from app.dialects.tuya.signing import signed_by
from tests.bench import folder
from tests.bench.__main__ import CONCURRENCY, ROOT, Server, cpu_us, free_port, serving
from tests.bench.load import Figures, Request, measure, request

DEVICES = 1_000
SIGNED_AT_ONCE = 200
CHECKS = 20_000


def ask(port: int, path: str, headers: dict[str, str], body: Any = None) -> Any:
    """The JSON a request is answered with."""
    raw = None if body is None else msgspec.json.encode(body)
    url = f"http://127.0.0.1:{port}{path}"
    with urllib.request.urlopen(urllib.request.Request(url, raw, headers)) as answer:
        return msgspec.json.decode(answer.read())


class Signer:
    """A client that signs as the documentation says."""

    def __init__(self, client_id: str, secret: str) -> None:
        self.client_id = client_id
        self.secret = secret
        self.token = ""

    def headers(self, path: str) -> dict[str, str]:
        """Of a GET without a query that would have to be put in order."""
        t = str(time.time_ns() // 1_000_000)
        text = f"GET\n{hashlib.sha256().hexdigest()}\n\n{path}"
        said = f"{self.client_id}{self.token}{t}{text}".encode()
        sign = hmac.new(self.secret.encode(), said, hashlib.sha256).hexdigest().upper()
        named = {"client_id": self.client_id, "sign": sign, "t": t, "sign_method": "HMAC-SHA256"}
        return named | ({"access_token": self.token} if self.token else {})

    def request(self, path: str) -> Request:
        """The bytes of it."""
        lines = [f"GET {path} HTTP/1.1", "Host: hub", *(f"{k}: {v}" for k, v in self.headers(path).items())]
        return type(request("GET", path))("\r\n".join([*lines, "", ""]).encode())


async def compared(port: int, pid: int, signer: Signer, ids: list[str], rounds: int, seconds: float) -> dict[str, Any]:
    """Medians over rounds in which both are measured in turn."""
    companion = [request("GET", f"/api/devices/{one}?ordinary", folder.TOKEN) for one in ids]
    taken: dict[str, list[Figures]] = {"companion": [], "tuya": []}
    cpu: dict[str, list[float]] = {"companion": [], "tuya": []}
    for _ in range(rounds):
        # Signed anew each round: what is older than five minutes is refused.
        tuya = [signer.request(f"/v1.0/devices/{one}") for one in ids[:SIGNED_AT_ONCE]]
        for what, requests in (("companion", companion), ("tuya", tuya)):
            server: Server = (port, pid)
            await measure("127.0.0.1", server[0], requests, seconds=0.5, concurrency=CONCURRENCY, status=200)
            before = cpu_us(pid)
            figures = await measure("127.0.0.1", port, requests, seconds=seconds, concurrency=CONCURRENCY, status=200)
            cpu[what].append((cpu_us(pid) - before) / figures.answers)
            taken[what].append(figures)
    rates = {what: median(one.rate for one in found) for what, found in taken.items()}
    return {
        "companion_per_second": round(rates["companion"]),
        "tuya_per_second": round(rates["tuya"]),
        "ratio": round(rates["tuya"] / rates["companion"], 3),
        "companion_cpu_us": round(median(cpu["companion"])),
        "tuya_cpu_us": round(median(cpu["tuya"])),
        "errors": sum(one.errors for found in taken.values() for one in found),
    }


def verification_us(signer: Signer) -> dict[str, float]:
    """What checking one signature takes: the first form right, and every form wrong."""
    path = "/v1.0/devices/0"
    right = SignedRequest("GET", path, signer.headers(path))
    odd = SignedRequest("POST", "/v1.0/devices?b=%2C&a=1", {**signer.headers(path), "signature-headers": "t"}, b"{}")
    found = {}
    for name, one in (("first_form", right), ("every_form", odd)):
        began = time.perf_counter()
        for _ in range(CHECKS):
            signed_by(signer.secret, one)
        found[f"verify_{name}_us"] = round((time.perf_counter() - began) / CHECKS * 1e6, 1)
    return found


def main() -> None:
    """Parse, prepare, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="doorstep-bench-"))
    try:
        print(msgspec.json.format(msgspec.json.encode(_run(chosen, work))).decode())
    finally:
        shutil.rmtree(work)


def _run(chosen: argparse.Namespace, work: Path) -> dict[str, Any]:
    made = asyncio.run(folder.make(work / "hub", DEVICES))
    port, link_port = free_port(), free_port()
    serve = [sys.executable, "-m", "app", "serve", "--data", str(work / "hub"), "--no-tls", "--port", str(port)]
    serve += ["--link-port", str(link_port), "--no-mqtt", "--log-level", "warning"]
    os.environ["PYTHONPYCACHEPREFIX"] = str(work / "bytecode")
    os.chdir(ROOT)
    with serving(serve, f"http://127.0.0.1:{port}/healthz", 0) as (hub, _):
        bearer = {"Authorization": f"Bearer {folder.TOKEN}", "Content-Type": "application/json"}
        key = ask(port, "/api/me/keys", bearer, {"name": "bench", "scopes": ["read"], "dialect": "tuya"})
        signer = Signer(key["key"]["id"], key["secret"])
        path = "/v1.0/token?grant_type=1"
        signer.token = ask(port, path, signer.headers(path))["result"]["access_token"]
        assert ask(port, f"/v1.0/devices/{made.device_ids[0]}", signer.headers(f"/v1.0/devices/{made.device_ids[0]}"))[
            "success"
        ]
        os.sched_setaffinity(0, {1})
        figures = uvloop.run(compared(port, hub.pid, signer, made.device_ids, chosen.rounds, chosen.seconds))
    return figures | verification_us(signer)


if __name__ == "__main__":
    main()
