"""The baseline: a bare ASGI application on the same server, answering the same payloads from memory."""

import sys
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

ONE, LIST, ACCEPTED = "one", "list", "accepted"


def application(payloads: dict[str, bytes]) -> Any:
    """GET .../devices/ID, GET .../homes/ID/devices, POST anything: ready bytes."""
    one, many, accepted = (payloads[name] for name in (ONE, LIST, ACCEPTED))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        status, body = 200, many if scope["path"].startswith("/api/homes") else one
        if scope["method"] == "POST":
            await receive()
            status, body = 202, accepted
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    port, file = int(sys.argv[1]), Path(sys.argv[2])
    loaded = msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    uvicorn.run(
        application({name: text.encode() for name, text in loaded.items()}),
        host="127.0.0.1",
        port=port,
        log_level="error",
        access_log=False,
        lifespan="off",
    )
