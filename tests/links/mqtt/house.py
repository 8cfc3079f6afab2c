"""An endpoint over a real store, with an admission and a hearing that are small enough to see through."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from app.errors import DoorstepError
from app.links.mqtt.endpoint import Endpoint
from app.links.mqtt.errors import Declined, NotAdmitted, Reason
from app.links.mqtt.limits import Limits
from app.links.mqtt.ports import Connected, Message, Offered, Principal
from app.links.mqtt.topics import covers
from app.store.prepare import open_store
from app.store.store import Store
from app.store.tx import Tx

SECRET = b"open sesame"
TABLE = "CREATE TABLE IF NOT EXISTS heard (n INTEGER PRIMARY KEY, device_id TEXT, topic TEXT, payload BLOB)"
_INSERT = "INSERT INTO heard(device_id,topic,payload) VALUES(?,?,?)"


class Porter:
    """Admits who knows the secret, as the device of its user name; topics are `its name/...` and `$oc/name/...`."""

    def __init__(self) -> None:
        self.offered: list[Offered] = []

    async def admit(self, offered: Offered) -> Principal:
        self.offered.append(offered)
        if offered.password != SECRET or not offered.username:
            raise NotAdmitted(Reason.CREDENTIALS)
        return Principal(offered.username)

    def may_publish(self, principal: Principal, topic: str) -> bool:
        return any(covers(each, topic) for each in self._own(principal))

    def may_subscribe(self, principal: Principal, topic_filter: str) -> bool:
        return any(covers(each, topic_filter) for each in self._own(principal))

    def implicit(self, principal: Principal) -> Sequence[str]:
        return (f"$oc/{principal.device_id}/down/#",)

    def filters(self) -> Sequence[str]:
        return ("+/#", "$oc/+/#")

    def speaker(self, topic: str) -> Principal | None:
        name = topic.removeprefix("$oc/").partition("/")[0]
        return Principal(name) if name else None

    def _own(self, principal: Principal) -> tuple[str, str]:
        return f"{principal.device_id}/#", f"$oc/{principal.device_id}/#"


class Keeper:
    """Writes what it hears into the store before it returns. Topics that end in `/declined` it does not take."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.log: list[tuple[str, str]] = []
        self.on_change: list[Callable[[], None]] = []

    def connected(self, principal: Principal, how: Connected) -> None:
        self._say("connected", principal.device_id)

    def subscribed(self, principal: Principal) -> None:
        """Nothing waits for that here."""

    def disconnected(self, principal: Principal, why: str) -> None:
        self._say(why, principal.device_id)

    async def published(self, principal: Principal, messages: Sequence[Message]) -> Sequence[DoorstepError | None]:
        await self._store.write(partial(_write, principal.device_id, messages))
        for message in messages:
            self._say("published", message.topic)
        return [Declined(Reason.PAYLOAD_FORMAT) if m.topic.endswith("/declined") else None for m in messages]

    def _say(self, what: str, of: str) -> None:
        self.log.append((what, of))
        for fn in self.on_change:
            fn()


def _write(device_id: str, messages: Sequence[Message], tx: Tx) -> None:
    for message in messages:
        if message.topic.endswith("/declined"):
            continue
        tx.put(_INSERT, (device_id, message.topic, message.payload))
        if message.seen is not None:
            message.seen.keep_in(tx)


class House:
    """What a test holds."""

    def __init__(self, store: Store, limits: Limits, keeper: Keeper) -> None:
        self.store = store
        self.porter = Porter()
        self.keeper = keeper
        self.endpoint = Endpoint(store, self.porter, self.keeper, limits)
        self.port = 0

    async def heard(self) -> list[tuple[str, str, bytes]]:
        """Everything on disk, in its order."""
        return await self.store.read(lambda r: r.all("SELECT device_id,topic,payload FROM heard ORDER BY n"))

    async def count(self) -> int:
        """How many that are."""
        return len(await self.store.read(lambda r: r.all("SELECT n FROM heard")))


@asynccontextmanager
async def house(
    folder: Path, limits: Limits | None = None, keeper: Callable[[Store], Keeper] = Keeper
) -> AsyncIterator[House]:
    """One that listens on TCP."""
    store = await open_store(folder)
    await store.load()
    await store.write(lambda tx: tx.run(TABLE))
    made = House(store, limits or Limits(), keeper(store))
    await made.endpoint.open()
    made.port = await made.endpoint.listen("127.0.0.1", 0)
    try:
        yield made
    finally:
        await made.endpoint.close()
        await store.close()
