"""What devices say, written down."""

import asyncio
from dataclasses import dataclass, field

from app.links.holding import Greeting
from pairing.messages import Answer, FromGateway, Hello, Report, WifiAccepted, WifiRefused

WAIT = 30.0


@dataclass
class Heard:
    """A `Hearing` that writes down what it hears."""

    said: asyncio.Queue[tuple[str, object]] = field(default_factory=asyncio.Queue)
    leaving: set[str] = field(default_factory=set)
    greeting: Greeting = field(default_factory=lambda: Greeting(stays=True))

    def up(self, hardware_id: str, hello: Hello) -> None:
        self.said.put_nowait(("up", hello))

    def down(self, hardware_id: str) -> None:
        self.said.put_nowait(("down", hardware_id))

    async def reported(self, hardware_id: str, report: Report) -> None:
        self.said.put_nowait(("reported", report))

    async def answered(self, hardware_id: str, answer: Answer) -> None:
        self.said.put_nowait(("answered", answer))

    async def reset(self, hardware_id: str) -> None:
        self.said.put_nowait(("reset", hardware_id))

    def departing(self, hardware_id: str) -> bool:
        return hardware_id in self.leaving

    async def greet(self, hardware_id: str, hello: Hello) -> Greeting:
        return self.greeting

    def told_to_forget(self, hardware_id: str) -> None:
        self.said.put_nowait(("told_to_forget", hardware_id))

    async def forgot(self, hardware_id: str) -> None:
        self.said.put_nowait(("forgot", hardware_id))

    async def of_children(self, hardware_id: str, said: FromGateway) -> None:
        self.said.put_nowait(("of_children", said))

    async def of_network(self, hardware_id: str, said: WifiAccepted | WifiRefused) -> None:
        self.said.put_nowait(("of_network", said))

    async def next(self) -> tuple[str, object]:
        async with asyncio.timeout(WAIT):
            return await self.said.get()
