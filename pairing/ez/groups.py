"""Groups of up to four octets with index and check: the body of Tuya's broadcast lane and of AirKiss."""

from pairing.ez.crc8 import crc8
from pairing.ez.numbers import GROUP_CRC_MASK, GROUP_DATA, GROUP_MARK, GROUP_SIZE


def group_lengths(record: bytes) -> list[int]:
    """The record's groups, as lengths; the last is as long as the record leaves it."""
    lengths: list[int] = []
    for index, start in enumerate(range(0, len(record), GROUP_SIZE)):
        group = record[start : start + GROUP_SIZE]
        check = crc8((index, *group)) & GROUP_CRC_MASK
        lengths += (GROUP_MARK | check, GROUP_MARK | index, *(GROUP_DATA | octet for octet in group))
    return lengths
