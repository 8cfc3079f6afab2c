"""What Prometheus reads of sync, of both ends of it."""

from app.clock import Clock
from app.metrics import Metrics
from app.sync.line import Traffic
from app.sync.service import Sync
from app.sync.stream import HubStreams


def measure(metrics: Metrics, sync: Sync, *, traffic: Traffic, streams: HubStreams, clock: Clock) -> None:
    """Follow the talk with a cloud (`traffic`), and with hubs (`streams`): a node has one of them."""

    def contact_age() -> float:
        talk = sync.talk()
        return -1.0 if talk is None or talk.contact_at is None else max(0, clock.now().ms - talk.contact_at) / 1000

    def is_connected() -> bool:
        talk = sync.talk()
        return talk is not None and talk.connected

    def talked(what: str) -> int:
        talk = sync.talk()
        return 0 if talk is None else int(getattr(talk, what))

    news, follow = sync.news, metrics.follow
    follow("sync_connected", "Whether this hub is connected to its cloud.", is_connected)
    follow("sync_contact_age_seconds", "Since this hub heard from its cloud; -1: not since its start.", contact_age)
    follow("sync_operations_to_push", "Operations the cloud has not answered.", lambda: news.to_push)
    follow("sync_numbers_to_pull", "Numbers of the cloud's logs that are not here.", lambda: news.to_pull)
    follow("sync_conflicts_open", "Conflicts that nobody has settled.", lambda: news.conflicts)
    follow("sync_hubs_connected", "Hubs connected to this cloud.", lambda: sync.cloud_end.connected)
    follow(
        "sync_pushes", "Requests with operations, since the start.", lambda: talked("pushes") + streams.asked["Push"]
    )
    follow("sync_pulls", "Requests for rows, since the start.", lambda: talked("pulls") + streams.asked["Pull"])
    sent, received = "Octets of messages sent, since the start.", "Octets of messages received, since the start."
    follow("sync_sent_bytes", sent, lambda: traffic.sent + streams.traffic.sent)
    follow("sync_received_bytes", received, lambda: traffic.received + streams.traffic.received)
