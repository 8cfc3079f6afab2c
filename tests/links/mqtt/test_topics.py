"""Filters: what they match, and what a grant of one covers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.links.mqtt.limits import Limits
from app.links.mqtt.topics import covers, is_filter, is_name, matches

LIMITS = Limits()


@pytest.mark.parametrize(
    ("topic_filter", "topic", "does"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/B", False),
        ("#", "a", True),
        ("#", "$SYS/a", False),
        ("+/a", "$SYS/a", False),
        ("$SYS/#", "$SYS/a", True),
        ("a/#", "a", True),
        ("a/#", "ab", False),
        ("a/+", "a", False),
        ("a/+", "a/", True),
        ("+/+", "/a", True),
        ("/+", "/a", True),
        ("+", "/a", False),
        ("a/+/c", "a/b/c", True),
        ("a/+/#", "a/b", True),
        ("a/+/#", "a", False),
    ],
)
def test_matching(topic_filter: str, topic: str, does: bool) -> None:
    assert matches(topic_filter, topic) is does


@pytest.mark.parametrize("bad", ["", "a#", "a/#/b", "a+", "+a/b", "a\0", "a/" * 40, "x" * 2000])
def test_no_filter(bad: str) -> None:
    assert not is_filter(bad, LIMITS)


@pytest.mark.parametrize("bad", ["", "a/+", "#", "a\0b"])
def test_no_name(bad: str) -> None:
    assert not is_name(bad, LIMITS)


@pytest.mark.parametrize(
    ("granted", "asked", "does"),
    [
        ("d/#", "d/a", True),
        ("d/#", "d/+/a", True),
        ("d/#", "d/#", True),
        ("d/#", "d", True),
        ("d/#", "#", False),
        ("d/#", "+/a", False),
        ("d/+", "d/#", False),
        ("d/+", "d/+", True),
        ("d/a", "d/+", False),
        ("d/a", "d/a", True),
        ("d/a", "d/a/b", False),
        ("#", "$oc/x", False),
    ],
)
def test_covering(granted: str, asked: str, does: bool) -> None:
    assert covers(granted, asked) is does


levels = st.sampled_from(["a", "b", "", "+", "$c"])
filters = st.builds(
    lambda parts, rest: "/".join([*parts, *rest]),
    st.lists(levels, min_size=1, max_size=3),
    st.sampled_from([[], ["#"]]),
).filter(lambda each: is_filter(each, LIMITS))
names = st.lists(st.sampled_from(["a", "b", "", "$c"]), min_size=1, max_size=4).map("/".join).filter(bool)


@given(filters, filters, names)
def test_what_a_covered_filter_matches_the_grant_matches(granted: str, asked: str, topic: str) -> None:
    if covers(granted, asked) and matches(asked, topic):
        assert matches(granted, topic)
