"""Vendors' models: their messages are passed on as they are, in both directions."""

from collections.abc import Callable
from typing import TypeAlias

from ble.mesh.access import Message, company_of, vendor_opcode
from ble.mesh.model_id import ModelId
from ble.mesh.models.server import Heard

Answers: TypeAlias = Callable[[Message, Heard], Message | None]


def message(company: int, number: int, parameters: bytes) -> Message:
    """What a client says: opcode `number` (0 to 0x3F) of a company. Raises Malformed."""
    return Message(vendor_opcode(number, company), parameters)


class VendorServer:
    """A company's model: its messages go to a program that answers them."""

    def __init__(self, model: ModelId, answers: Answers) -> None:
        self.model = model
        self._answers = answers

    def handle(self, heard_message: Message, heard: Heard) -> Message | None:
        """The program's answer; None for another company's message."""
        if company_of(heard_message.opcode) != self.model.company:
            return None
        return self._answers(heard_message, heard)


def echo(number: int) -> Answers:
    """A program that sends the parameters back under opcode `number`."""

    def answer(heard_message: Message, _: Heard) -> Message | None:
        company = company_of(heard_message.opcode)
        return None if company is None else message(company, number, heard_message.parameters)

    return answer
