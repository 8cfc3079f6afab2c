"""What a device answers to a command. Pure but for the body that obeys."""

from app.devices.product.values import Values, ValueUnfit
from app.virtual.body import Body, Changes
from pairing.messages import Answer, Command


def obey(body: Body, command: Command, hub_now_ms: int | None) -> tuple[Answer, Changes]:
    """The answer, and what else is different now and should be reported.

    `hub_now_ms` is the hub's clock, by which commands expire; None while it is not known: the hub has just looked.
    """
    if command.expires is not None and hub_now_ms is not None and command.expires <= hub_now_ms:
        return refusal(command, "expired"), {}
    try:
        return _do(body, command)
    except ValueUnfit as error:
        return refusal(command, error.code), {}


def refusal(command: Command, code: str) -> Answer:
    """That it was not done, and why."""
    return Answer(command.id, ok=False, error=code, child=command.child)


def _do(body: Body, command: Command) -> tuple[Answer, Changes]:
    match command.kind:
        case "set":
            changes = body.set(command.service, command.values)
            now: Values = {k: v for k, v in body.readable(command.service).items() if k in command.values}
            return _done(command, now), _besides(changes, command.service, now)
        case "get":
            if body.product.service(command.service) is None:
                return refusal(command, ValueUnfit.code), {}
            return _done(command, body.readable(command.service)), {}
        case "call":
            changes = body.call(command.service, command.name or "", command.params)
            return _done(command, changes.get(command.service, {})), changes


def _done(command: Command, values: Values) -> Answer:
    return Answer(command.id, ok=True, values=dict(values), child=command.child)


def _besides(changes: Changes, service: str, said: Values) -> Changes:
    """The changes that the answer does not say already."""
    left = {s: {k: v for k, v in values.items() if s != service or k not in said} for s, values in changes.items()}
    return {s: values for s, values in left.items() if values}
