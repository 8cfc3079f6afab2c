"""The method of devices that can see: a phone shows a code with network and token, the device joins and announces."""

import asyncio

from pairing.methods.method import TOKEN, AttemptContext, Follows, Input, MethodFailedError, SearchContext
from pairing.methods.over_lan import OverLan
from pairing.qr import camera
from pairing.session.log import Secrets
from pairing.session.states import Request
from pairing.wifi import network_of

NAME = "qr_shown"

HINT_AFTER = 45.0
"""Seconds of silence after which the person is told what to look at: a camera needs some to see and to join."""
PATIENCE = 300.0
"""Seconds until the search gives up."""


class QrShown:
    """A `Method`, of devices on `lan`."""

    name = NAME
    inputs: tuple[Input, ...] = (
        Input(name="ssid"),
        Input(name="wifi_password", secret=True, optional=True),
        Input(name="pin", secret=True, optional=True),
        TOKEN,
    )
    follows: Follows | None = None

    def __init__(
        self,
        lan: OverLan,
        *,
        hint_after: float = HINT_AFTER,
        patience: float = PATIENCE,
    ) -> None:
        self._lan = lan
        self._hint_after = hint_after
        self._patience = patience

    async def search(self, context: SearchContext) -> None:
        code_of(context.request, context.secrets)  # what nobody could join is not shown
        await context.note("show_qr")
        hint = asyncio.create_task(self._hint(context))
        try:
            async with asyncio.timeout(self._patience):
                await self._lan.hear(context, NAME)
        except TimeoutError:
            raise MethodFailedError("code_not_seen") from None
        finally:
            hint.cancel()
            await asyncio.gather(hint, return_exceptions=True)

    async def _hint(self, context: SearchContext) -> None:
        await asyncio.sleep(self._hint_after)
        await context.note("nothing_heard", hint="show_code_again")

    async def attempt(self, context: AttemptContext) -> None:
        await self._lan.attempt(context)


def code_of(request: Request, secrets: Secrets) -> str:
    """What the session's code holds, the password among it; raises UnfitNetworkError."""
    network = network_of(request.inputs["ssid"], secrets.get("wifi_password", ""))
    return camera.write(network, bytes.fromhex(secrets["token"]))
