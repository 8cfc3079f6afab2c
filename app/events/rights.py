"""Taking away ends streams at once: what the bus must hear about from the services that give rights."""

from app.events.bus import Bus
from app.homes.model import Home, Member
from app.homes.standing import MemberKey, Standings
from app.policy import Role
from app.sharing.model import Share
from app.sharing.shares import Shares


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


def follow_shares(bus: Bus, shares: Shares) -> None:
    """End the streams of receivers whose shares begin, end or change: what they may see, and until when, is another."""

    def share(key: str, old: Share | None, new: Share | None) -> None:
        if (held := new or old) is not None and (old is None or new is None or _lends(old) != _lends(new)):
            bus.rights_changed(held.receiver_id or "")

    shares.accepted.watch(share)


def _lends(share: Share) -> tuple[object, ...]:
    return share.level, share.until, share.hours


def _rights(member: Member) -> tuple[object, ...]:
    return member.role, member.until, member.hours, member.only
