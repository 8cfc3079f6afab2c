"""Pairing methods without a device: what a session was given, and what came of a join."""

import asyncio
import hashlib
import secrets

from pairing.activation.messages import CREDENTIAL_SIZE, Activated
from pairing.methods.method import TOKEN, AttemptContext, Follows, Input, SearchContext
from pairing.session.states import Candidate

DEVICE = "d-2gn7prq3ufryaprn6j7oedxk"


class Joining:
    """Hears one device at once and has it joined; `given` are the inputs of each session."""

    inputs: tuple[Input, ...] = (
        Input(name="ssid", optional=True),
        Input(name="wifi_password", secret=True, optional=True),
        Input(name="pin", secret=True, optional=True),
        TOKEN,
    )
    follows: Follows | None = None

    def __init__(self, name: str = "ap") -> None:
        self.name = name
        self.given: list[dict[str, str]] = []

    async def search(self, context: SearchContext) -> None:
        self.given.append({**context.request.inputs, **context.secrets})
        await context.ready()
        await context.heard(Candidate(id=DEVICE, method=self.name))
        await asyncio.Event().wait()

    async def attempt(self, context: AttemptContext) -> None:
        await context.join(
            Activated(
                device_id=DEVICE,
                public_key=hashlib.sha256(DEVICE.encode()).digest(),
                product="lamp",
                name="Lamp",
                firmware="1.0.0",
                serial="S1",
                trust="first-use",
                credential=secrets.token_bytes(CREDENTIAL_SIZE),
                binding_id=f"{context.session_id}.{context.number}",
                epoch=len(self.given),
                rebound=False,
            )
        )
