"""The doctor's look at the way to the cloud, as the running hub has it."""

from typing import Any, Final

from app.commands.findings import Finding

_JOIN: Final = "join again with a new code: doorstep hub enrol, at the cloud; doorstep cloud join, here"
_OVER: Final = {
    "refused": ("bad", "{name} at {url} did not take this hub in", _JOIN),
    "revoked": ("bad", "{name} at {url} has revoked this hub", _JOIN),
    "superseded": ("bad", "{name} at {url} speaks to a restored copy of this hub", "stop one of the two"),
    "asked": ("note", "{name} at {url} has not confirmed this hub yet", "confirm there, if the numbers are the same"),
}


def of_hub(cloud: dict[str, Any]) -> Finding:
    """From what a running hub says of its cloud."""
    names = {"name": cloud["name"], "url": cloud["url"]}
    if (over := _OVER.get(cloud["state"])) is not None:
        state, text, hint = over
        return Finding("cloud", state, text.format(**names), hint)
    trust = "its certificate is pinned" if cloud["pinned"] else "its certificate is checked as a browser does"
    if cloud["way"] == "websocket":
        return Finding("cloud", "ok", f"{cloud['name']} at {cloud['url']}, by one WebSocket; {trust}")
    if cloud["way"] == "requests":
        text = f"{cloud['name']} at {cloud['url']}, by single requests: WebSockets do not get through; {trust}"
        return Finding("cloud", "note", text, "have what stands between pass on Upgrade for /sync/stream")
    text = f"{cloud['name']} at {cloud['url']} is not reached: {cloud['problem']}"
    return Finding("cloud", "note", text, "everything goes on here, and is told the cloud once it is there again")
