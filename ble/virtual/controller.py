"""bumble's controller and link, with what they get wrong put right. Each fix is named after its fault.

The faults are those of bumble 0.0.236 (specs/ble/notes.md, 1.1); the eighth and ninth are met in `peripheral`.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from bumble import hci, ll
from bumble.controller import Controller, LegacyAdvertiser
from bumble.core import PhysicalTransport
from bumble.link import LocalLink

RSSI: Final = -50
"""In dBm, of a sender nothing was said about."""

_Report = hci.HCI_LE_Advertising_Report_Event
_Types = hci.HCI_LE_Set_Advertising_Parameters_Command.AdvertisingType
_REPORTED: Final = {
    _Types.ADV_IND: _Report.EventType.ADV_IND,
    _Types.ADV_SCAN_IND: _Report.EventType.ADV_SCAN_IND,
    _Types.ADV_NONCONN_IND: _Report.EventType.ADV_NONCONN_IND,
}


@dataclass
class Advert(ll.AdvInd):
    """An advertisement with what bumble's lacks: its type, and what is answered to a scan request."""

    scan_response: bytes = b""
    kind: int = _Types.ADV_IND


class AirLink(LocalLink):
    """What all controllers hear each other through."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rssi: dict[str, int] = {}
        self.out: set[str] = set()

    def within(self, controller: Controller) -> bool:
        return str(controller.random_address) not in self.out

    def send_advertising_pdu(self, sender_controller: Controller, packet: ll.AdvertisingPdu) -> None:
        """Range loss: nothing from or to who is out. A request to connect is heard at once: only one can win."""
        if not self.within(sender_controller):
            return
        for each in [c for c in self.controllers if c is not sender_controller and self.within(c)]:
            if isinstance(packet, ll.ConnectInd):
                each.on_ll_advertising_pdu(packet)
            else:
                asyncio.get_running_loop().call_soon(each.on_ll_advertising_pdu, packet)

    def send_acl_data(
        self, sender_controller: Controller, destination_address: hci.Address, transport: PhysicalTransport, data: bytes
    ) -> None:
        """Fault 4, data from a random address always: the source is the address the connection was made from."""
        connection = sender_controller.le_connections.get(destination_address)
        receiver = self.find_le_controller(destination_address)
        if connection is None or receiver is None or not (self.within(sender_controller) and self.within(receiver)):
            return
        asyncio.get_running_loop().call_soon(receiver.on_link_acl_data, connection.self_address, transport, data)

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """What is sent to who has gone is lost, and no error of the sender."""
        receiver = self.find_le_controller(receiver_address)
        if receiver is not None and sender_address in receiver.le_connections:
            super().send_ll_control_pdu(sender_address, receiver_address, packet)

    def drop(self, controller: Controller) -> None:
        """The supervision timeout of all its connections, at both ends."""
        timeout = hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR
        for connection in list(controller.le_connections.values()):
            peer = self.find_le_controller(connection.peer_address)
            if peer is not None and (theirs := peer.le_connections.get(connection.self_address)) is not None:
                peer.on_le_disconnected(theirs, timeout)
            controller.on_le_disconnected(connection, timeout)


class _Advertiser(LegacyAdvertiser):
    def send_advertising_data(self) -> None:
        """Fault 1, the scan response never sent; fault 6, advertisements that nobody can connect to never heard."""
        if self.enabled and self.advertising_type in _REPORTED:
            pdu = Advert(self.address, self.advertising_data, self.scan_response_data, self.advertising_type)
            self.controller.send_advertising_pdu(pdu)


class AirController(Controller):
    """One adapter, the hub's or a device's."""

    # Fault 7: connections are announced in the old form only, which who offers these features does not expect.
    le_features = Controller.le_features & ~(
        hci.LeFeatureMask.LL_PRIVACY
        | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING
        | hci.LeFeatureMask.LE_PERIODIC_ADVERTISING
    )

    def __init__(self, name: str, sink: Any, link: AirLink) -> None:
        super().__init__(name, host_sink=sink, link=link)
        self.air = link
        self.le_legacy_advertiser = _Advertiser(self)

    def on_advertising_pdu(self, pdu: ll.AdvInd | ll.AdvExtInd) -> None:
        """Fault 2, no scan response where there is none to give; fault 5, one signal strength for all."""
        if not isinstance(pdu, Advert):
            return
        if self.le_scan_enable:
            self._report(_REPORTED[_Types(pdu.kind)], pdu.advertiser_address, pdu.data)
            if pdu.kind != _Types.ADV_NONCONN_IND and self.le_scan_type:
                self._report(_Report.EventType.SCAN_RSP, pdu.advertiser_address, pdu.scan_response)
        wanted = self.pending_le_connection
        if wanted and wanted.peer_address == pdu.advertiser_address and pdu.kind == _Types.ADV_IND:
            self._connect(pdu.advertiser_address)

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Fault 3, no completion after a cancel: a host waited for it for ever (Core, Vol 4, Part E, 7.8.13)."""
        if not self.pending_le_connection:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        peer, self.pending_le_connection = self.pending_le_connection.peer_address, None
        event = hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=hci.Role.CENTRAL,
            peer_address_type=peer.address_type,
            peer_address=peer,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        )
        asyncio.get_running_loop().call_soon(self.send_hci_packet, event)  # after the command's own completion
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_disconnect_command(self, command: hci.HCI_Disconnect_Command) -> None:
        """Fault 10, no end of a connection that has just ended by itself: a host waited for it for ever (7.1.6)."""
        if self.find_connection_by_handle(command.connection_handle) is None:
            unknown = hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR
            self._send_hci_command_status(unknown, command.op_code)
        else:
            super().on_hci_disconnect_command(command)

    def leave(self) -> None:
        """Out of the air for good, as when the power goes."""
        self.le_legacy_advertiser.stop()
        self.air.drop(self)
        self.air.remove_controller(self)

    def _connect(self, peer: hci.Address) -> None:
        """Only with who still advertises: who was connected to in between does not hear the request."""
        found = self.air.find_le_controller(peer)
        if found is not None and found.le_legacy_advertiser.enabled and self.air.within(self):
            self.create_le_connection(peer)

    def _report(self, event: int, address: hci.Address, data: bytes) -> None:
        report = _Report.Report(
            event_type=event,
            address_type=address.address_type,
            address=address,
            data=data,
            rssi=self.air.rssi.get(str(address), RSSI),
        )
        self.send_hci_packet(_Report([report]))
