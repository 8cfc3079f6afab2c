"""Which secrets of the vault are a home's, and whose: by the name of the row they stand in.

Every beginning of such a name is in one of the two tables below (a test reads the program for others).
"""

from typing import Final

from app.errors import Conflict
from app.store.tx import Reader

# A home's: where its home is read, as SQL over `$rest`, what follows the beginning.
OF_HOMES: Final[dict[str, str]] = {
    # What proves a paired device, by its hardware.
    "bindings/": "(SELECT home_id FROM devices WHERE hardware_id=$rest)",
    # What a device proves itself with that was registered by hand.
    "device-secrets/": "(SELECT home_id FROM devices WHERE id=$first)",
    # What deciphers a sensor's advertisements.
    "sensors/": "(SELECT home_id FROM devices WHERE id=$first)",
    # A Wi-Fi password.
    "wifi_network/": "(SELECT home_id FROM wifi_networks WHERE id=$first)",
    # How devices reach one of its hubs.
    "hubs/": "(SELECT id FROM homes WHERE id=$first)",
    # A mesh's keys, and its nodes'.
    "mesh/": "(SELECT id FROM homes WHERE id=$first)",
}
# This node's own, each with the reason why no other hub of the home is told.
OF_THIS_NODE: Final[dict[str, str]] = {
    "account/": "a person's key, made here",
    "hub/": "this hub's identity",
    "cloud/": "made for this hub's enrolment",
    "home_keys/": "what seals all others, opened; and this hub's own key, for which they are wrapped",
    "home_codes/": "what its owner is shown here, to let this hub in elsewhere",
    "key/": "an account's key for another face",
    "pairing_session/": "of a pairing under way here, and gone with its end",
    "wifi_change/": "of a move under way here, and gone with its end",
    "reset-secrets/": "for this hub to tell a device that it was let go; its home is rid of it",
    "iotda-upstream/": "this hub's own at a platform where it is a gateway",
}
# Of these a cloud keeps none either: they are passing, and a home's all the same.
_PASSING: Final = ("pairing_session/", "wifi_change/")
# Devices that are registered at a cloud prove themselves to it: that is known to both, and to no hub.
_OF_ITS_OWN_DEVICES: Final = "device-secrets/"
MOST: Final = 200


class AtTheHub(Conflict):
    """Secrets of a home are told to its hubs alone."""

    code = "at_the_hub"
    hint = "Ask the home's hub: its cloud must not know secrets."


def is_of_homes(place: str) -> bool:
    """Whether a secret that stands there is a home's."""
    return len(place) <= MOST and place.startswith(tuple(OF_HOMES))


def refuse_of_homes(place: str) -> None:
    """What a cloud's vault asks of each secret before it is kept; raises AtTheHub."""
    if place.startswith((*OF_HOMES, *_PASSING)) and not place.startswith(_OF_ITS_OWN_DEVICES):
        raise AtTheHub


def home_sql(column: str) -> str:
    """SQL of the home whose the secret in the row named `column` is; NULL where nobody can say."""
    cases = []
    for beginning, home in OF_HOMES.items():
        rest = f"substr({column},{len(beginning) + 1})"
        first = f"substr({rest},1,instr({rest}||'/','/')-1)"
        sql = home.replace("$rest", rest).replace("$first", first)
        cases.append(f"WHEN substr({column},1,{len(beginning)})='{beginning}' THEN {sql}")
    return f"CASE {' '.join(cases)} END"


_OF_HOME: Final = f"SELECT row FROM secrets WHERE {home_sql('row')}=? ORDER BY row"  # noqa: S608 - our own names


def of_home(reader: Reader, home_id: str) -> list[str]:
    """Where a home's secrets stand here."""
    return [row[0] for row in reader.all(_OF_HOME, (home_id,))]


def home_of(reader: Reader, place: str) -> str | None:
    """Whose the secret at `place` is, or would be; None where nobody can say."""
    row = reader.one(f"SELECT {home_sql('?1')}", (place,))
    return None if row is None else row[0]
