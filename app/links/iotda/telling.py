"""What devices tell of themselves, and ask in passing: the time, versions, their SDK, their logs (2.11 to 2.13)."""

from functools import partial
from typing import Final

from msgspec.structs import replace

from app.clock import Clock
from app.devices.model import Device
from app.devices.service import Devices
from app.journal.model import Entry, Kind
from app.journal.service import Journal
from app.links.iotda import queries
from app.links.iotda.codec import event_paras as paras
from app.links.iotda.codec.events import LOG, SDK, TIME
from app.links.iotda.codec.fields import encode, given
from app.links.iotda.downwards import LINK, Downwards
from app.links.iotda.messages import Budget
from app.links.iotda.speaking import Act, Handlers, Spoken
from app.store.tx import Tx

VERSION_CHARACTERS: Final = 64
# Of a log line a device sends; it may say 1 MB (2.13.2), which is a file's size and not an entry's.
LOG_CHARACTERS: Final = 4_000


def clean_version(text: str) -> str:
    """A version as it is kept and shown."""
    return "".join(letter for letter in text if letter.isprintable())[:VERSION_CHARACTERS]


class Telling:
    """`handlers` are those of these events."""

    def __init__(self, devices: Devices, journal: Journal, clock: Clock, down: Downwards, budget: Budget) -> None:
        self._devices = devices
        self._journal = journal
        self._clock = clock
        self._down = down
        self._budget = budget

    def handlers(self) -> Handlers:
        """By (service, event type)."""
        return {
            (TIME, "time_sync_request"): self.time,
            (SDK, "sdk_info_report"): self.sdk,
            (LOG, "log_report"): self.log,
        }

    def time(self, spoken: Spoken, asked: paras.TimeRequest) -> Act:
        """2.11: when the request came, and when the answer goes."""

        def answer() -> None:
            sent = self._clock.now().ms
            times = paras.TimeResponse(
                device_send_time=asked.device_send_time, server_rcv_time=spoken.received_at, server_send_time=sent
            )
            self._down.event(spoken.device, TIME, "time_sync_response", times, spoken.event_id or None)

        def act(tx: Tx) -> None:
            tx.after(answer)

        return act

    def sdk(self, spoken: Spoken, said: paras.SdkInfo) -> Act:
        """2.12."""
        firmware, software = given(said.fw_version, ""), given(said.sw_version, "")
        return self.versions(spoken.device, firmware, software, given(said.device_sdk_version, ""))

    def versions(self, device: Device, firmware: str, software: str, sdk: str = "") -> Act:
        """Keep them; what is empty was not said."""

        def act(tx: Tx) -> None:
            known = queries.details(tx, device.id) or queries.Details(device.hardware_id)
            new = replace(
                known,
                sw_version=clean_version(software) or known.sw_version,
                sdk_version=clean_version(sdk) or known.sdk_version,
            )
            if new != known:
                queries.put_details(tx, device.id, new)
            if firmware and clean_version(firmware) != device.firmware:
                tx.after(partial(self._devices.online, device.id, LINK, clean_version(firmware)))

        return act

    def log(self, spoken: Spoken, said: paras.LogReport) -> Act:
        """2.13.2, into the device's log."""
        device = spoken.device
        self._budget.take(device.id, len(said.content), spoken.received_at)
        value = encode({"said_at": given(said.timestamp, ""), "content": said.content[:LOG_CHARACTERS]}).decode()

        def act(tx: Tx) -> None:
            self._journal.write_in(tx, [Entry(device.id, device.home_id, tx.now, Kind.LOG, said.type, value)])

        return act
