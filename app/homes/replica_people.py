"""Members and invitations as other nodes have them, between their tables and the log; people are named by keys."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from app.accounts.people import People
from app.caller import Caller
from app.homes import invitation_queries, queries
from app.homes.facts import (
    InvitationFields,
    MemberFields,
    fitting,
    invitation_fields,
    is_id,
    is_key,
    member_fields,
    plain,
)
from app.homes.invitation_model import Invitation
from app.homes.invitations import Invitations
from app.homes.members import Members
from app.homes.model import Member
from app.policy import Role
from app.store.tx import Reader, Tx
from app.sync.kinds import Fields, Item, Watch


class MemberFacts:
    """Members of a home. Somebody who is not known here is, from then on; a home has one owner at a time."""

    name: Final = "member"
    watches: Final = (
        Watch(
            "members",
            "(SELECT lower(hex(public_key)) FROM accounts WHERE id=$.account_id)",
            "$.home_id",
            ("account_id", "role", "remark", "until", "hours", "only", "joined_at"),
        ),
        # What somebody is called stands in each of their homes.
        Watch(
            "accounts",
            columns=("name", "login", "expires_at", "elsewhere"),
            many="SELECT lower(hex($.public_key)) AS id,home_id AS home_id FROM members WHERE account_id=$.id",
        ),
    )

    def __init__(self, people: People, members: Members) -> None:
        self._people = people
        self._members = members

    def read_in(self, reader: Reader, home_id: str, entity_id: str, known: Fields | None) -> dict[str, Any] | None:
        """A member, by any of their keys."""
        account_id = self._people.account_of_in(reader, entity_id) if is_key(entity_id) else None
        if account_id is None:
            return None
        member, person = queries.member(reader, home_id, account_id), queries.person(reader, account_id)
        if member is None or person is None:
            return None
        return plain(member_fields(member, person.name, anonymous=person.anonymous))

    def ids_in(self, reader: Reader, home_id: str) -> Iterable[str]:
        """The first key of each member."""
        keys = (self._people.key_of_in(reader, member.account_id) for member in queries.members_of(reader, home_id))
        return [key for key in keys if key is not None]

    def id_of_in(self, reader: Reader, home_id: str, entity_id: str, known: Callable[[str], bool]) -> str:
        """Of all keys of that person the one that is `known` to the log; else `entity_id` itself."""
        account_id = self._people.account_of_in(reader, entity_id) if is_key(entity_id) else None
        keys = [] if account_id is None else self._people.keys_in(reader, account_id)
        return next((key for key in (entity_id, *keys) if known(key)), entity_id)

    def put_in(self, tx: Tx, home_id: str, items: Sequence[Item]) -> None:
        """People join, change and leave: first who goes, last who owns the home from now on."""
        if not queries.has_home(tx, home_id):
            return
        gone: dict[str, Caller] = {}
        there: dict[str, tuple[Item, MemberFields]] = {}
        for item in items:
            if not is_key(item.id):
                continue
            if item.fields is None:
                if (account_id := self._people.account_of_in(tx, item.id)) is not None:
                    gone[account_id] = item.by
            elif (fields := fitting(MemberFields, item.fields)) is not None:
                account_id = self._people.known_in(tx, item.id, fields.name, anonymous=fields.anonymous)
                there[account_id] = item, fields
        for account_id, by in gone.items():
            if account_id not in there:
                self._end_in(tx, by, home_id, account_id)
        for account_id in sorted(there, key=lambda account_id: there[account_id][1].role is Role.OWNER):
            self._put_one_in(tx, home_id, account_id, *there[account_id])

    def _end_in(self, tx: Tx, by: Caller, home_id: str, account_id: str) -> None:
        if (member := queries.member(tx, home_id, account_id)) is not None:
            self._members.end_in(tx, by, member, "left" if by.actor.account_id == account_id else "removed")

    def _put_one_in(self, tx: Tx, home_id: str, account_id: str, item: Item, fields: MemberFields) -> None:
        renamed = self._people.called_in(tx, account_id, fields.name, anonymous=fields.anonymous)
        old = queries.member(tx, home_id, account_id)
        new = Member(
            home_id,
            account_id,
            fields.role,
            fields.remark,
            fields.until,
            fields.hours,
            None if fields.only is None else frozenset(fields.only),
            version=1 if old is None else old.version,
            joined_at=fields.joined_at,
        )
        if new.role is Role.OWNER:
            self._make_way_in(tx, item.by, new)
        if old is None:
            self._members.admit_in(tx, item.by, new)
        elif renamed or new != old:
            self._members.become_in(tx, item.by, old, msgspec.structs.replace(new, version=old.version + 1))

    def _make_way_in(self, tx: Tx, by: Caller, heir: Member) -> None:
        """Who owned the home until now is an admin, as by handing it over; what else they are comes by itself."""
        owner = queries.owner(tx, heir.home_id)
        if owner is not None and owner.account_id != heir.account_id:
            admin = msgspec.structs.replace(owner, role=Role.ADMIN, version=owner.version + 1)
            self._members.become_in(tx, by, owner, admin)

    def refers(self, entity_id: str, fields: Fields) -> Iterable[tuple[str, str]]:
        """To nothing: a guest's things may come later."""
        return ()


class InvitationFacts:
    """Invitations by code; those to a login stay at the node that knows it until they are accepted."""

    name: Final = "invitation"
    watches: Final = (
        Watch("invitations", "CASE WHEN $.code_hash IS NOT NULL OR $.state='accepted' THEN $.id END", "$.home_id"),
    )

    def __init__(self, people: People, invitations: Invitations) -> None:
        self._people = people
        self._invitations = invitations

    def read_in(self, reader: Reader, home_id: str, entity_id: str, known: Fields | None) -> dict[str, Any] | None:
        """An invitation; None for one to a login."""
        found = invitation_queries.of_home(reader, home_id, entity_id)
        return None if found is None else self._fields_in(reader, found, known or {})

    def _fields_in(self, reader: Reader, invitation: Invitation, known: Fields) -> dict[str, Any] | None:
        created_by = self._people.named_in(reader, invitation.home_id, invitation.created_by, known.get("created_by"))
        taken_by = self._people.named_in(reader, invitation.home_id, invitation.taken_by, known.get("taken_by"))
        return invitation_fields(invitation, created_by, taken_by)

    def ids_in(self, reader: Reader, home_id: str) -> Iterable[str]:
        """Those by code, ended ones too, and those to a login that were accepted."""
        return [invitation.id for invitation in invitation_queries.by_code_of(reader, home_id)]

    def put_in(self, tx: Tx, home_id: str, items: Sequence[Item]) -> None:
        """Invitations come, end, and are forgotten."""
        if not queries.has_home(tx, home_id):
            return
        for item in items:
            old = invitation_queries.any_of(tx, item.id)
            if old is not None and (old.home_id != home_id or old.code_hash is None):
                continue
            if item.fields is not None:
                self._put_one_in(tx, home_id, item, old)
            elif old is not None:
                self._invitations.forget_in(tx, item.by, old)

    def _put_one_in(self, tx: Tx, home_id: str, item: Item, old: Invitation | None) -> None:
        fields = fitting(InvitationFields, item.fields or {})
        if fields is None or fields.code_hash is None or not is_id(item.id):
            return
        code_hash = bytes.fromhex(fields.code_hash)
        other = invitation_queries.by_code(tx, code_hash)
        if other is not None and other.id != item.id:
            return
        new = Invitation(
            item.id,
            home_id,
            code_hash,
            None,
            None,
            fields.role,
            fields.until,
            fields.hours,
            None if fields.only is None else frozenset(fields.only),
            fields.anonymous,
            fields.state,
            created_by=self._account_in(tx, fields.created_by) or "",
            taken_by=self._account_in(tx, fields.taken_by),
            version=1 if old is None else old.version,
            created_at=fields.created_at,
            expires_at=fields.expires_at,
        )
        if old is None:
            self._invitations.put_in(tx, item.by, new)
        elif new != old:
            self._invitations.put_in(tx, item.by, msgspec.structs.replace(new, version=old.version + 1))

    def _account_in(self, tx: Tx, key: str | None) -> str | None:
        return None if key is None else self._people.known_in(tx, key, "")

    def refers(self, entity_id: str, fields: Fields) -> Iterable[tuple[str, str]]:
        """To nothing: who made it is known by their key."""
        return ()
