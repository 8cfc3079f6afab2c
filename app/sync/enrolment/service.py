"""Enrolling, both ends of it: which of them does anything is the node's role."""

from app.homes.code_tries import CodeTries
from app.homes.standing import Standings
from app.store.store import Store
from app.sync.enrolment.cloud_end import CloudEnd
from app.sync.enrolment.connecting import Connector
from app.sync.enrolment.door import CloudDoor
from app.sync.enrolment.hub_end import HubEnd
from app.sync.enrolment.hubs import Hubs
from app.sync.enrolment.joined import JoinedCloud
from app.sync.enrolment.sessions import HubSessions
from app.sync.enrolment.tokens import HubTokens


class Enrolment:
    """At a cloud: `hubs`, their `tokens` and `sessions`, `cloud_end`. At a hub: its cloud (`joined`) and the `door`."""

    def __init__(self, store: Store, standings: Standings, tries: CodeTries, *, is_cloud: bool) -> None:
        self.hubs = Hubs(store, standings, is_cloud=is_cloud)
        self.tokens = HubTokens(self.hubs)
        self.sessions = HubSessions(store, self.hubs, self.tokens)
        self.cloud_end = CloudEnd(store, self.hubs, tries)
        self.connector = Connector()
        self.joined = JoinedCloud(store)
        self.door = CloudDoor(store, self.joined, self.connector)
        self.hub_end = HubEnd(store, self.joined, self.connector, self.door, is_cloud=is_cloud)

    def start(self) -> None:
        """Go on with what was under way; the store must be loaded."""
        self.cloud_end.start_housekeeping()
        self.hub_end.start()

    async def stop(self) -> None:
        """End what runs by itself."""
        await self.hub_end.stop()
        await self.door.close()
