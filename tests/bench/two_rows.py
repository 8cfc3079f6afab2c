"""The variant printed beside the durable POST: same store and credentials, writing a shadow and an audit row."""

import sys
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from app.accounts.credentials import Credentials
from app.companion.layers import FrontLayer
from app.store.prepare import open_store
from app.store.tx import Tx

ANSWER = b'{"state":"queued"}'


async def serve(folder: Path, port: int) -> None:
    """Answer POST /api/devices/ID/commands until killed."""
    store = await open_store(folder)
    credentials = Credentials(store)
    await store.load()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        device_id = scope["path"].split("/")[3]
        if scope["method"] != "POST":  # is it there yet?
            await _answer(send, 200)
            return
        body = (await receive())["body"]
        wanted = msgspec.json.decode(body)["values"]

        def act(tx: Tx) -> None:
            for name, value in wanted.items():
                tx.run(
                    "INSERT INTO shadow(device_id,service,property,desired,desired_at) VALUES(?,'light',?,?,?)"
                    " ON CONFLICT DO UPDATE SET desired=excluded.desired, desired_at=excluded.desired_at",
                    (device_id, name, msgspec.json.encode(value).decode(), tx.now),
                )
            tx.run(
                "INSERT INTO audit(at,type,kind,entity_id,home_id,data) VALUES(?,'device.desired','device',?,'',?)",
                (tx.now, device_id, body.decode()),
            )

        await store.write(act)
        await _answer(send, 202)

    front = FrontLayer(app, credentials, store.clock)
    config = uvicorn.Config(
        front,
        host="127.0.0.1",
        port=port,
        log_level="error",
        access_log=False,
        lifespan="off",
    )
    await uvicorn.Server(config).serve()


async def _answer(send: Any, status: int) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
