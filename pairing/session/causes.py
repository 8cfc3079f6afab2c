"""The catalogue of causes: why a session or an attempt ended without a device, and what to tell the person."""

from pairing.session.cause import NEXT_STEPS, Cause
from pairing.session.joining_causes import JOINING
from pairing.session.mesh_causes import MESH
from pairing.session.states import Failure

_GENERAL = (
    Cause(
        code="not_found",
        recognised="the search ran its time and no device that could be added was heard",
        text="No device was found.",
        next_step="check_power_and_cable",
    ),
    Cause(
        code="unreachable",
        recognised="no connection could be made where the device was heard, nor was it heard elsewhere after that",
        text="The device does not answer at {address}, port {port}.",
        next_step="check_network",
    ),
    Cause(
        code="bad_address",
        recognised="what was given is no IP address, or no port",
        text="{address} is not an IP address with a port.",
        next_step="check_address",
        retryable=False,
    ),
    Cause(
        code="pin_needed",
        recognised="the device has a label PIN and none was given",
        text="This device needs the PIN on its label.",
        next_step="check_pin",
    ),
    Cause(
        code="wrong_pin",
        recognised="the key exchange over the PIN failed",
        text="The PIN is not the one on the device's label.",
        next_step="check_pin",
    ),
    Cause(
        code="too_many_tries",
        recognised="the device refuses further PINs, or a session has used up its tries",
        text="Too many tries.",
        next_step="reset_device",
        retryable=False,
    ),
    Cause(
        code="device_bound_elsewhere",
        recognised="the device says that it belongs to another hub",
        text="The device belongs to another hub.",
        next_step="unbind_first",
        retryable=False,
    ),
    Cause(
        code="stale_offer",
        recognised="the device knows a newer owner epoch than the offered one",
        text="The device knows a newer owner than this hub does.",
        next_step="reset_device",
    ),
    Cause(
        code="proof_failed",
        recognised="a proof of the exchange did not verify",
        text="The device could not prove who it is.",
        next_step="try_again",
    ),
    Cause(
        code="malformed_message",
        recognised="the device sent bytes that are no message of the protocol",
        text="The device sent something the hub does not understand.",
        next_step="update_device",
    ),
    Cause(
        code="unsupported_version",
        recognised="the device names no version of the protocol the hub speaks",
        text="Device and hub speak no common version.",
        next_step="update_device",
        retryable=False,
    ),
    Cause(
        code="device_busy",
        recognised="the device says that it is in another conversation",
        text="The device is being added by somebody else right now.",
        next_step="try_again",
    ),
    Cause(
        code="device_silent",
        recognised="the device answered nothing within the time of a step",
        text="The device stopped answering.",
        next_step="restart_device",
    ),
    Cause(
        code="connection_lost",
        recognised="the connection ended in the middle of the exchange",
        text="The connection to the device broke off.",
        next_step="move_closer",
    ),
    Cause(
        code="refused_by_person",
        recognised="the person said that the codes differ",
        text="The codes were not confirmed.",
        next_step="compare_again",
    ),
    Cause(
        code="expired",
        recognised="the session's time ran out",
        text="The time for adding the device ran out.",
        next_step="try_again",
    ),
    Cause(
        code="cancelled",
        recognised="somebody cancelled the session",
        text="Adding the device was cancelled.",
        next_step="nothing",
    ),
    Cause(
        code="hub_stopped",
        recognised="the hub stopped while it spoke to the device, and the session could not be resumed",
        text="The hub stopped in between.",
        next_step="try_again",
    ),
    Cause(
        code="storage_failed",
        recognised="hub or device could not make durable what it must keep",
        text="It could not be stored.",
        next_step="check_hub_storage",
    ),
    Cause(
        code="not_allowed",
        recognised="the account may not add devices to the home (any more)",
        text="You may not add devices to this home.",
        next_step="ask_admin",
        retryable=False,
    ),
    Cause(
        code="device_in_another_home",
        recognised="the device is in another home of this hub",
        text="The device is in another home of this hub.",
        next_step="remove_first",
        retryable=False,
    ),
    Cause(
        code="device_frozen",
        recognised="the device is in the home already, and an owner or admin has frozen it",
        text="The device is in this home already, and frozen.",
        next_step="unfreeze_first",
        retryable=False,
    ),
    Cause(
        code="unknown_product",
        recognised="the hub has no model of what the device says it is",
        text="The hub does not know this kind of device ({product}).",
        next_step="update_device",
        retryable=False,
    ),
    Cause(
        code="device_limit",
        recognised="the home has as many devices as it may have",
        text="The home has as many devices as it may have.",
        next_step="ask_admin",
        retryable=False,
    ),
    Cause(
        code="no_method",
        recognised="the hub has no method of that name, or it needs an input that was not given",
        text="The device cannot be added this way here.",
        next_step="choose_method",
        retryable=False,
    ),
    Cause(
        code="network_unavailable",
        recognised="the hub's own network refused to be listened on or sent to",
        text="The hub's network is not available.",
        next_step="check_network",
    ),
    Cause(
        code="pairing_failed",
        recognised="the method failed in a way that has no cause of its own",
        text="The device could not be added.",
        next_step="try_again",
    ),
)

CATALOGUE: dict[str, Cause] = {cause.code: cause for cause in (*_GENERAL, *JOINING, *MESH)}

FALLBACK = "pairing_failed"


def failure(code: str, step: str, detail: dict[str, str] | None = None) -> Failure:
    """The failure for a cause in a step; a code not in the catalogue becomes `pairing_failed`, named in the detail."""
    facts = dict(detail or {})
    if code not in CATALOGUE:
        facts["code"] = code
        code = FALLBACK
    cause = CATALOGUE[code]
    return Failure(cause=code, step=step, retryable=cause.retryable, next_step=cause.next_step, detail=facts)


class _Blanks(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def text(failed: Failure) -> str:
    """What the person reads, in English."""
    return CATALOGUE[failed.cause].text.format_map(_Blanks(failed.detail))


def next_step_text(failed: Failure) -> str:
    """What the person should do now, in English."""
    return NEXT_STEPS[failed.next_step]
