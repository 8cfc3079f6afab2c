"""Where consumers of messages connect."""

from typing import Any

from litestar import WebSocket, websocket
from litestar.di import NamedDependency

from app.dialects.tuya.consuming import ACK_S, LEAST_ACK_S, MOST_ACK_S
from app.dialects.tuya.service import Tuya
from app.policy import Action


@websocket(
    "/ws/v2/consumer/persistent/{access_id:str}/out/{topic:str}/{subscription:str}",
    opt={"action": Action.PUBLIC},
)
async def consume(socket: WebSocket[Any, Any, Any], tuya: NamedDependency[Tuya]) -> None:
    """Messages for a key, which its headers prove; one that does not is refused before it is a WebSocket."""
    asked = socket.query_params.get("ackTimeoutMillis", "")
    seconds = int(asked) / 1000 if asked.isascii() and asked.isdigit() and len(asked) < 9 else ACK_S
    ack_s = max(LEAST_ACK_S, min(seconds, MOST_ACK_S))
    await tuya.consuming.serve(socket.scope, socket.receive, socket.send, ack_s)
