"""What IoTDA tells devices that went wrong, by its own codes (1.7.3, chapter 3)."""

from typing import Final

from app.devices.credential_model import DeviceIdTaken
from app.devices.model import BoundElsewhere, DeviceFrozen, GatewayUnfit, ProductUnknown
from app.errors import DoorstepError, Invalid, NotFound, TooMany
from app.links.iotda.codec.event_paras import Reason

INVALID: Final = "IOTDA.000006"
NOT_CHILD: Final = "IOTDA.014041"
_CODES: Final[dict[type[DoorstepError], tuple[str, str]]] = {
    ProductUnknown: ("IOTDA.013014", "The product does not exist."),
    DeviceIdTaken: ("IOTDA.014031", "Invalid input. The device already exists."),
    BoundElsewhere: ("IOTDA.014031", "Invalid input. The device already exists."),
    GatewayUnfit: ("IOTDA.014037", "Operation not allowed. Max device depths (2 levels) reached."),
    DeviceFrozen: ("IOTDA.014018", "Operation not allowed. The device has been frozen and cannot be operated."),
    NotFound: (NOT_CHILD, "Operation not allowed. The device does not belong to the currently connected gateway."),
    TooMany: ("IOTDA.000007", "The number of devices has reached the upper limit."),
    Invalid: (INVALID, "Invalid input data."),
}


def reason_of(error: DoorstepError) -> tuple[str, str]:
    """(code, text) of an error; one that has no code of its own is told as invalid input."""
    return next((_CODES[base] for base in type(error).__mro__ if base in _CODES), _CODES[Invalid])


def of_device(device_id: str, error: DoorstepError) -> Reason:
    """Why it did not work for a device."""
    code, text = reason_of(error)
    return Reason(device_id=device_id, error_code=code, error_msg=text)


def of_newcomer(node_id: str, product_id: str, error: DoorstepError) -> Reason:
    """Why a device was not added."""
    code, text = reason_of(error)
    return Reason(node_id=node_id, product_id=product_id, error_code=code, error_msg=text)
