"""The inbox: who belongs nowhere yet, and what a flood does to it."""

from msgspec.structs import replace

from pairing.announcement import Announcement
from pairing.inbox import LASTS_MS, MAX_KEPT, MAX_OVERHEARD, MAX_PER_SOURCE, OVERHEARD_LASTS_MS, Inbox
from pairing.overheard import Overheard
from tests.pairing.test_mdns import an_id

LAMP = Announcement(
    id=an_id(1), product="lamp", name="Lamp", addresses=("192.0.2.1",), port=80, paired=False, auth="pin"
)


def ids(inbox: Inbox, now: int = 0) -> list[str]:
    return [sighting.device.id for sighting in inbox.sightings(now)]


def test_a_device_is_kept_with_its_times_and_its_latest_announcement() -> None:
    inbox = Inbox()
    inbox.saw(LAMP, "192.0.2.1", 1_000)
    inbox.saw(replace(LAMP, name="Desk"), "192.0.2.1", 5_000)
    (sighting,) = inbox.sightings(6_000)
    assert (sighting.device.name, sighting.first_seen, sighting.last_seen) == ("Desk", 1_000, 5_000)


def test_it_leaves_when_it_goes_is_paired_or_says_nothing_any_more() -> None:
    inbox = Inbox()
    inbox.saw(LAMP, "192.0.2.1", 0)
    inbox.gone(LAMP.id)
    assert ids(inbox) == []
    inbox.saw(LAMP, "192.0.2.1", 0)
    inbox.saw(replace(LAMP, paired=True), "192.0.2.1", 0)
    assert ids(inbox) == []
    inbox.saw(LAMP, "192.0.2.1", 0)
    assert ids(inbox, LASTS_MS) == [LAMP.id]
    assert ids(inbox, LASTS_MS + 1) == []


def test_a_device_of_a_home_is_not_in_it_whatever_is_announced_of_it() -> None:
    owned: set[str] = set()
    inbox = Inbox(owned.__contains__)
    inbox.saw(LAMP, "192.0.2.1", 0)
    owned.add(LAMP.id)
    assert ids(inbox) == []
    inbox.saw(replace(LAMP, name="Free lamp", addresses=("192.0.2.66",)), "192.0.2.66", 0)
    assert ids(inbox) == []


def test_a_flood_from_one_source_pushes_nobody_out() -> None:
    inbox = Inbox()
    inbox.saw(LAMP, "192.0.2.1", 0)
    for number in range(100, 5_100):
        inbox.saw(replace(LAMP, id=an_id(number)), "192.0.2.66", number)
    inbox.saw(replace(LAMP, id=an_id(2)), "192.0.2.2", 9_000)
    found = ids(inbox, 9_000)
    assert found[0] == LAMP.id
    assert found[-1] == an_id(2)
    assert len(found) == MAX_PER_SOURCE + 2


def test_a_flood_from_everywhere_is_bounded_and_what_is_stale_gives_way() -> None:
    inbox = Inbox()
    for number in range(4 * MAX_KEPT):
        inbox.saw(replace(LAMP, id=an_id(number)), f"192.0.2.{number}", 0)
    assert len(ids(inbox)) == MAX_KEPT
    inbox.saw(replace(LAMP, id=an_id(9_000)), "198.51.100.1", LASTS_MS + 1)
    assert ids(inbox, LASTS_MS + 1) == [an_id(9_000)]


NEAR = Overheard(id="ble-d00000000001", method="ble_wifi", address="D0:00:00:00:00:01", name="Desk lamp", auth="open")


def test_what_is_heard_over_bluetooth_is_kept_as_long_as_it_is_heard() -> None:
    inbox = Inbox()
    assert inbox.overheard(NEAR, 1_000)
    assert not inbox.overheard(replace(NEAR, name=""), 2_000)  # the name is not in every advertisement
    assert inbox.overheard(replace(NEAR, auth="button"), 3_000)
    (sighting,) = inbox.sightings(4_000)
    assert (sighting.device, sighting.first_seen, sighting.last_seen) == (replace(NEAR, auth="button"), 1_000, 3_000)
    assert ids(inbox, 3_000 + OVERHEARD_LASTS_MS) == [NEAR.id]
    assert ids(inbox, 3_001 + OVERHEARD_LASTS_MS) == []


def test_a_device_heard_in_both_ways_is_in_it_once_and_none_of_a_home() -> None:
    owned: set[str] = set()
    inbox = Inbox(lambda beginning: any(each.startswith(beginning) for each in owned))
    mark = replace(NEAR, id=LAMP.id[:16], method="ble")
    inbox.overheard(mark, 0)
    inbox.saw(LAMP, "192.0.2.1", 1)
    assert ids(inbox) == [LAMP.id]
    inbox.gone(LAMP.id)
    assert ids(inbox) == [mark.id]
    owned.add(LAMP.id)
    assert ids(inbox) == []
    assert not inbox.overheard(mark, 2)
    assert ids(inbox) == []


def test_a_flood_over_bluetooth_is_bounded_and_takes_no_room_from_the_network() -> None:
    inbox = Inbox()
    inbox.saw(LAMP, "192.0.2.1", 0)
    for number in range(10 * MAX_OVERHEARD):
        inbox.overheard(replace(NEAR, id=f"ble-{number:012x}"), number)
    inbox.overheard(NEAR, 10 * MAX_OVERHEARD)  # who is really there is heard again, and found
    found = ids(inbox, 10 * MAX_OVERHEARD)
    assert (found[0], found[-1], len(found)) == (LAMP.id, NEAR.id, MAX_OVERHEARD + 1)
