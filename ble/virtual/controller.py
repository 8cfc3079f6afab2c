"""bumble's controller and its link, with what they get wrong mended: each fix names its fault.

Only legacy advertising is offered (no LE_EXTENDED_ADVERTISING, no LL_PRIVACY): bumble always sends the non-enhanced
Connection Complete, which a Linux host takes only then, and its advertising sets keep old data when they restart.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from bumble import hci, ll
from bumble.controller import Controller, LegacyAdvertiser
from bumble.core import PhysicalTransport
from bumble.link import LocalLink

DEFAULT_RSSI = -50

_Type = hci.HCI_LE_Set_Advertising_Parameters_Command.AdvertisingType
_Event = hci.HCI_LE_Advertising_Report_Event.EventType
_Report = hci.HCI_LE_Advertising_Report_Event.Report
_REPORTED = {
    _Type.ADV_IND: _Event.ADV_IND,
    _Type.ADV_SCAN_IND: _Event.ADV_SCAN_IND,
    _Type.ADV_NONCONN_IND: _Event.ADV_NONCONN_IND,
}
_NO_EXTENDED = ~(
    hci.LeFeatureMask.LL_PRIVACY | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING | hci.LeFeatureMask.LE_PERIODIC_ADVERTISING
)


@dataclass
class _Advertised(ll.AdvInd):
    """An advertising PDU of any legacy type, with the scan response that goes with it."""

    event: int = _Event.ADV_IND
    scan_response: bytes = b""


class _Advertiser(LegacyAdvertiser):
    """Fault: ADV_NONCONN_IND and ADV_SCAN_IND are never sent, nor is any scan response."""

    def send_advertising_data(self) -> None:
        event = _REPORTED.get(_Type(self.advertising_type))
        if self.enabled and event is not None:
            self.controller.send_advertising_pdu(
                _Advertised(self.address, self.advertising_data, event, self.scan_response_data)
            )


class Link(LocalLink):
    """The air. `rssi` by address in dBm; who is in `out` hears nothing and is not heard."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rssi: dict[str, int] = {}
        self.out: set[str] = set()

    def drop(self, address: str) -> None:
        """End the device's connections as range loss does: a supervision timeout at both ends."""
        for one in list(self.controllers):
            for held in list(one.le_connections.values()):
                if address in (named(held.self_address), named(held.peer_address)):
                    one.on_le_disconnected(held, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)

    def send_advertising_pdu(self, sender_controller: Controller, packet: ll.AdvertisingPdu) -> None:
        """Fault: range does not exist. Out of it, neither advertisements nor requests to connect arrive."""
        if not self._out(sender_controller):
            for one in self.controllers:
                if one is not sender_controller and not self._out(one):
                    asyncio.get_running_loop().call_soon(one.on_ll_advertising_pdu, packet)

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: PhysicalTransport,
        data: bytes,
    ) -> None:
        """Fault: data carries the sender's random address, also where it is connected by its public one."""
        connection = sender_controller.le_connections.get(destination_address)
        receiver = self.find_le_controller(destination_address)
        if connection and receiver and not self._out(sender_controller) and not self._out(receiver):
            asyncio.get_running_loop().call_soon(receiver.on_link_acl_data, connection.self_address, transport, data)

    def _out(self, one: Controller) -> bool:
        return bool(self.out & {named(one.random_address), named(one.public_address)})


class AirController(Controller):
    """One adapter or device on the air."""

    le_features = Controller.le_features & _NO_EXTENDED
    link: Link

    def __init__(self, name: str, link: Link, sink: Any) -> None:
        self._random_address = hci.Address("00:00:00:00:00:00")
        super().__init__(name, host_sink=sink, link=link)
        self.le_legacy_advertiser = _Advertiser(self)

    def on_advertising_pdu(self, pdu: ll.AdvInd | ll.AdvExtInd) -> None:
        """Faults: the scan response repeats the advertisement, and RSSI is fixed.

        An empty scan response is reported as well: Linux holds an ADV_IND back until its SCAN_RSP has come.
        """
        if not isinstance(pdu, _Advertised):
            return
        if self.le_scan_enable:
            self._report(pdu, pdu.event, pdu.data)
            if pdu.event != _Event.ADV_NONCONN_IND and self.le_scan_type:
                self._report(pdu, _Event.SCAN_RSP, pdu.scan_response)
        wanted = self.pending_le_connection
        if wanted and pdu.event == _Event.ADV_IND and wanted.peer_address == pdu.advertiser_address:
            self.create_le_connection(pdu.advertiser_address)

    def _report(self, pdu: _Advertised, event: int, data: bytes) -> None:
        address = pdu.advertiser_address
        rssi = self.link.rssi.get(named(address), DEFAULT_RSSI)
        report = _Report(event_type=event, address_type=address.address_type, address=address, data=data, rssi=rssi)
        self.send_hci_packet(hci.HCI_LE_Advertising_Report_Event([report]))

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Fault: a cancel completes nothing, so that connecting to an absent device hangs for ever."""
        wanted, self.pending_le_connection = self.pending_le_connection, None
        if wanted is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        cancelled = hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=hci.Role.CENTRAL,
            peer_address_type=wanted.peer_address.address_type,
            peer_address=wanted.peer_address,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        )
        asyncio.get_running_loop().call_soon(self.send_hci_packet, cancelled)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def leave(self) -> None:
        """Off the air: its host has gone. Who was connected to it sees a supervision timeout."""
        self.le_legacy_advertiser.stop()
        self.hci_sink = None
        for held in list(self.le_connections.values()):
            self.link.drop(named(held.self_address))
        self.link.remove_controller(self)


def named(address: hci.Address) -> str:
    """An address as the Radio Protocol writes it."""
    return address.to_string(False)
