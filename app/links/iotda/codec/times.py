"""Times as IoTDA writes them, all in UTC (1.1, 2.4, 2.7.1)."""

import re
from datetime import UTC, datetime

_SECONDS = "%Y%m%dT%H%M%SZ"
_HOUR = "%Y%m%d%H"
# `strptime` takes a digit less, and signs and spaces besides: the forms are checked here.
_SECONDS_FORM = re.compile(r"[0-9]{8}T[0-9]{6}Z\Z")
_MILLIS_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z")
_HOUR_FORM = re.compile(r"[0-9]{10}\Z")


def event_time(ms: int) -> str:
    """yyyyMMdd'T'HHmmss'Z'."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime(_SECONDS)


def event_time_ms(ms: int) -> str:
    """yyyy-MM-dd'T'HH:mm:ss.SSS'Z', which reports may have as well (2.7.2): values of one second keep their order."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC).strftime('%Y-%m-%dT%H:%M:%S')}.{ms % 1000:03}Z"


def parse_event_time(text: object) -> int | None:
    """Either form as ms; None for anything else, which counts as the time it was received (2.7.1)."""
    if not isinstance(text, str):
        return None
    if _SECONDS_FORM.match(text):
        return _ms(text, _SECONDS)
    if _MILLIS_FORM.match(text):
        return _ms(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    return None


def hour_stamp(ms: int) -> str:
    """YYYYMMDDHH."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime(_HOUR)


def parse_hour(stamp: str) -> int | None:
    """The beginning (ms) of that hour; None for what is none."""
    return _ms(stamp, _HOUR) if _HOUR_FORM.match(stamp) else None


def _ms(text: str, form: str) -> int | None:
    try:
        return round(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
