"""Taking away ends streams at once: what the bus must hear about from the services that give rights."""

from app.events.bus import Bus
from app.homes.model import Home, Member
from app.homes.standing import MemberKey, Standings
from app.policy import Role


def follow_homes(bus: Bus, standings: Standings) -> None:
    """End the streams of members who leave or whose rights change, and of guests whose hours move with the home."""

    def member(key: MemberKey, old: Member | None, new: Member | None) -> None:
        if old is not None and (new is None or _rights(old) != _rights(new)):
            bus.rights_changed(key[1])

    def home(home_id: str, old: Home | None, new: Home | None) -> None:
        if old is None or new is None or old.time_zone == new.time_zone:
            return
        for account_id in standings.members_of.get(home_id, ()):
            found = standings.members.get((home_id, account_id))
            if found is not None and found.role is Role.GUEST:
                bus.rights_changed(account_id)

    standings.members.watch(member)
    standings.homes.watch(home)


def _rights(member: Member) -> tuple[object, ...]:
    return member.role, member.until, member.hours, member.only
