"""Files of devices (2.10): put and fetched at addresses that are told once, work once, and soon end."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from msgspec import Struct

from app.caller import Caller, demand
from app.clock import Time, to_time
from app.devices.access import Access
from app.devices.changes import change
from app.devices.model import Device
from app.errors import NotFound
from app.journal.model import Entry, Kind
from app.journal.service import Journal
from app.links.iotda import file_queries as queries
from app.links.iotda.address import Address
from app.links.iotda.blobs import Blobs
from app.links.iotda.codec import event_paras as paras
from app.links.iotda.codec.errors import MalformedError
from app.links.iotda.codec.events import FILES
from app.links.iotda.codec.fields import encode
from app.links.iotda.downwards import Downwards
from app.links.iotda.speaking import Act, Handlers, Spoken
from app.policy import SYSTEM, Action
from app.store.store import Store
from app.store.tx import Tx

URL: Final = "/iotda/files/"
URL_S: Final = 3_600
MAX_FILE: Final = 16 << 20
# Addresses that are open at a time: of one device, and of all; the oldest gives way.
OPEN_PER_DEVICE: Final = 8
OPEN: Final = 4_096
MAX_NAME: Final = 128


class FileView(Struct, frozen=True):
    """A file that a device has uploaded."""

    name: str
    size: int
    at: Time


class _Ticket(Struct, frozen=True):
    device: Device
    name: str
    is_upload: bool
    ends: int


class Files:
    """Addresses live in memory: after a restart of the hub a device asks for another."""

    def __init__(
        self,
        store: Store,
        access: Access,
        journal: Journal,
        *,
        blobs: Blobs,
        down: Downwards,
        address: Address,
    ) -> None:
        self._store = store
        self._access = access
        self._journal = journal
        self._blobs = blobs
        self._down = down
        self._address = address
        self._dropping: set[asyncio.Task[None]] = set()
        self._tickets: dict[str, _Ticket] = {}

    def handlers(self) -> Handlers:
        """By (service, event type)."""
        return {
            (FILES, "get_upload_url"): self.want_upload,
            (FILES, "get_download_url"): self.want_download,
            (FILES, "upload_result_report"): self.result,
            (FILES, "download_result_report"): self.result,
        }

    # what devices say

    def want_upload(self, spoken: Spoken, asked: paras.WantUrl) -> Act:
        """2.10.1."""
        return self._want(spoken, asked, is_upload=True)

    def want_download(self, spoken: Spoken, asked: paras.WantUrl) -> Act:
        """2.10.4. That there is no such file is told at the address."""
        return self._want(spoken, asked, is_upload=False)

    def _want(self, spoken: Spoken, asked: paras.WantUrl, *, is_upload: bool) -> Act:
        name = asked.wanted
        if not 0 < len(name) <= MAX_NAME or not name.isprintable() or "/" in name or name in (".", ".."):
            raise MalformedError("file_name: not one")

        def answer() -> None:
            token = self._open(_Ticket(spoken.device, name, is_upload, spoken.received_at + URL_S * 1000))
            told = paras.FileUrl(
                url=f"{self._address.url}{URL}{token}",
                bucket_name="doorstep",
                object_name=name,
                expire=URL_S,
                file_attributes=asked.file_attributes,
            )
            kind = "get_upload_url_response" if is_upload else "get_download_url_response"
            self._down.event(spoken.device, FILES, kind, told, spoken.event_id or None)

        def act(tx: Tx) -> None:
            tx.after(partial(self._address.once_known, (FILES, spoken.device.id, is_upload), answer))

        return act

    def result(self, spoken: Spoken, said: paras.FileResult) -> Act:
        """2.10.3, 2.10.6, into the device's log."""
        device, value = spoken.device, encode(said).decode()[:2_000]

        def act(tx: Tx) -> None:
            noted = encode({"said": value}).decode()
            self._journal.write_in(tx, [Entry(device.id, device.home_id, tx.now, Kind.FILE, value=noted)])

        return act

    # at the addresses

    async def put(self, token: str, chunks: AsyncIterator[bytes]) -> None:
        """Take a device's file; on disk when this returns. Raises NotFound, TooLarge."""
        ticket = self._taken(token, is_upload=True)
        blob = await self._blobs.take(chunks, MAX_FILE)
        try:
            former = await self._store.write(lambda tx: self._put_in(tx, ticket, blob.name, blob.size))
        except BaseException:
            await self._blobs.drop(blob.name)
            raise
        for name in former:
            await self._blobs.drop(name)

    def _put_in(self, tx: Tx, ticket: _Ticket, stored: str, size: int) -> list[str]:
        device = ticket.device
        former = queries.put(tx, device.id, ticket.name, stored, size)
        data = {"name": ticket.name, "size": size}
        tx.record(SYSTEM, change("device.file", device, data, Action.DEVICE_JOURNAL, audit=False))
        return former

    async def get(self, token: str) -> tuple[int, AsyncIterator[bytes]]:
        """(size, octets) of a file, for its device; raises NotFound."""
        ticket = self._taken(token, is_upload=False)
        return await self._content(ticket.device.id, ticket.name)

    # for people

    async def of_device(self, by: Caller, device_id: str) -> list[FileView]:
        """What it has uploaded; raises NotFound, Refused."""
        demand(by.actor, Action.DEVICE_JOURNAL, self._access.device(by.actor, device_id), self._store.clock.now())
        rows = await self._store.read(lambda reader: queries.of_device(reader, device_id))
        return [FileView(name, size, to_time(at)) for name, size, at in rows]

    async def content(self, by: Caller, device_id: str, name: str) -> tuple[int, AsyncIterator[bytes]]:
        """(size, octets) of one; raises NotFound, Refused."""
        demand(by.actor, Action.DEVICE_JOURNAL, self._access.device(by.actor, device_id), self._store.clock.now())
        return await self._content(device_id, name)

    def leaving_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """Its files go with a device."""
        if stored := queries.all_stored(tx, device.id):
            tx.after(lambda: self._start(stored))

    def moving_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """What it uploaded was for the home it leaves."""
        self.leaving_in(tx, by, device)
        queries.drop_all(tx, device.id)

    async def stop(self) -> None:
        """Finish what `leaving_in` began."""
        await asyncio.gather(*self._dropping, return_exceptions=True)

    def _start(self, stored: list[str]) -> None:
        task = asyncio.create_task(self._drop(stored), name="files-dropped")
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    async def _drop(self, stored: list[str]) -> None:
        for name in stored:
            await self._blobs.drop(name)

    async def _content(self, device_id: str, name: str) -> tuple[int, AsyncIterator[bytes]]:
        found = await self._store.read(lambda reader: queries.stored(reader, device_id, name))
        if found is None:
            raise NotFound
        return found[1], await self._blobs.read(found[0])

    def _open(self, ticket: _Ticket) -> str:
        mine = [token for token, each in self._tickets.items() if each.device.id == ticket.device.id]
        for token in mine[: max(0, len(mine) - OPEN_PER_DEVICE + 1)]:
            del self._tickets[token]
        if len(self._tickets) >= OPEN:
            del self._tickets[next(iter(self._tickets))]
        token = secrets.token_urlsafe(32)
        self._tickets[token] = ticket
        return token

    def _taken(self, token: str, *, is_upload: bool) -> _Ticket:
        ticket = self._tickets.get(token)
        if ticket is None or ticket.is_upload is not is_upload:
            raise NotFound
        del self._tickets[token]
        if ticket.ends <= self._store.clock.now().ms:
            raise NotFound
        return ticket
