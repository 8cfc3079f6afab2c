"""Topic names and filters (MQTT 3.1.1 and 5, section 4.7)."""

from collections.abc import Iterable

from app.links.mqtt.limits import Limits

SHARED = "$share/"


def is_name(topic: str, limits: Limits) -> bool:
    """Whether messages may be published there: not empty, no wildcard, no NUL, within limits (4.7.1, 4.7.3)."""
    return _is_sound(topic, limits) and "+" not in topic and "#" not in topic


def is_filter(topic_filter: str, limits: Limits) -> bool:
    """Whether it may be subscribed to: wildcards fill a whole level, and `#` is the last (MQTT-4.7.1-2, -3)."""
    if not _is_sound(topic_filter, limits):
        return False
    levels = topic_filter.split("/")
    if any(len(level) > 1 and ("+" in level or "#" in level) for level in levels):
        return False
    return "#" not in levels[:-1]


def _is_sound(text: str, limits: Limits) -> bool:
    return bool(text) and "\0" not in text and len(text) <= limits.topic and text.count("/") < limits.levels


def has_wildcard(topic_filter: str) -> bool:
    """Whether it stands for more than one topic."""
    return "+" in topic_filter or "#" in topic_filter


def matches(topic_filter: str, topic: str) -> bool:
    """Whether the filter takes the topic. A leading wildcard does not take topics that begin with $ (MQTT-4.7.2-1)."""
    if topic_filter == topic:
        return True
    if topic.startswith("$") and topic_filter[:1] in ("+", "#"):
        return False
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for at, level in enumerate(wanted):
        if level == "#":
            # `a/#` takes `a` itself as well (4.7.1.2).
            return True
        if at >= len(levels) or level not in ("+", levels[at]):
            return False
        if at == len(levels) - 1 and wanted[at + 1 :] == ["#"]:
            return True
    return len(wanted) == len(levels)


def covers(granted: str, topic_filter: str) -> bool:
    """Whether everything that matches `topic_filter` matches `granted`: for rules about who may subscribe to what."""
    if topic_filter.startswith("$") != granted.startswith("$"):
        return False
    wide, narrow = granted.split("/"), topic_filter.split("/")
    for at, level in enumerate(wide):
        if level == "#":
            return True
        if at >= len(narrow):
            return False
        if narrow[at] == "#" or level not in ("+", narrow[at]):
            # `a/#` is no wider than `a`, `a/+` and what lies below: only a `#` holds all of it.
            return False
    return len(wide) == len(narrow)


def any_matches(filters: Iterable[str], topic: str) -> bool:
    """Whether one of them takes the topic."""
    return any(matches(each, topic) for each in filters)
