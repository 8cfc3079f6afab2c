"""Homes, when somebody who was only known from elsewhere turns out to be somebody who has an account here."""

import msgspec

from app.accounts.model import Account
from app.caller import Caller
from app.errors import Conflict
from app.homes import invitation_queries, queries
from app.homes.model import MAX_HOMES_PER_ACCOUNT, Member, TooManyHomes, member_view
from app.homes.standing import Standings
from app.policy import Action
from app.store.tx import Change, Reader, Tx


class BothMembers(Conflict):
    """Both are members of the same home, and one person cannot be two of them; the facts say of which."""

    code = "both_members"
    hint = "Leave that home as one of the two, or have one of them removed; then link the key again."


class LinkedMembers:
    """Hands memberships and invitations on."""

    def __init__(self, standings: Standings) -> None:
        self._standings = standings

    def account_linked_in(self, tx: Tx, by: Caller, account: Account, to: str) -> None:
        """What `account` is in its homes, the account `to` is from now on; raises BothMembers, TooManyHomes."""
        moving, held = queries.memberships_of(tx, account.id), queries.memberships_of(tx, to)
        homes = sorted({member.home_id for member in moving} & {member.home_id for member in held})
        if homes:
            names = [home.name for home_id in homes if (home := queries.home(tx, home_id)) is not None]
            raise BothMembers(f"Both are members of {', '.join(names)}: one person cannot be two of them.", homes=homes)
        if len(moving) + len(held) > MAX_HOMES_PER_ACCOUNT:
            raise TooManyHomes
        for member in moving:
            self._hand_on_in(tx, by, member, to)
        invitation_queries.hand_on(tx, account.id, to)

    def _hand_on_in(self, tx: Tx, by: Caller, old: Member, to: str) -> None:
        member = msgspec.structs.replace(old, account_id=to, version=old.version + 1)
        queries.hand_membership_on(tx, old, member)
        self._standings.members.drop(tx, (old.home_id, old.account_id))
        self._standings.members.put(tx, (member.home_id, to), member)
        facts = {"account_id": old.account_id, "why": "linked"}
        tx.record(by.actor, _told("member.left", old, facts))
        if (person := queries.person(tx, to)) is not None:
            tx.record(by.actor, _told("member.joined", member, member_view(member, person)))


def named_in_homes(reader: Reader, account_id: str, key: str) -> list[str]:
    """What keeps a key (hexadecimal) from being unlinked: the homes in which it is what names the person, in words."""
    return [f"it is known by it in the home {name}" for name in queries.homes_naming(reader, account_id, key)]


def _told(event: str, member: Member, data: object) -> Change:
    return Change(event, "member", member.account_id, member.home_id, Action.MEMBER_READ, data)
