"""Tells the members of an account's homes that it got a new password without the old one."""

from app.accounts.model import Account
from app.caller import Caller
from app.homes import queries
from app.policy import Action
from app.store.tx import Change, Tx


def tell_members_in(tx: Tx, by: Caller, account: Account) -> None:
    """An event in each of the account's homes: whoever knows it was not them can act."""
    for member in queries.memberships_of(tx, account.id):
        facts = {"account_id": account.id, "name": account.name}
        tx.record(by.actor, Change("member.recovered", "member", account.id, member.home_id, Action.MEMBER_READ, facts))
