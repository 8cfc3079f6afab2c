"""Shares, when somebody who was only known from elsewhere turns out to be somebody who has an account here."""

import msgspec

from app.accounts.model import Account
from app.caller import Caller
from app.errors import TooMany
from app.sharing import queries
from app.sharing.ledger import Ledger
from app.sharing.model import MAX_RECEIVED
from app.sharing.shares import Shares
from app.store.tx import Tx


class LinkedShares:
    """Hands shares on: those somebody gave, and those they have or are offered."""

    def __init__(self, shares: Shares, ledger: Ledger) -> None:
        self._shares = shares
        self._ledger = ledger

    def account_linked_in(self, tx: Tx, by: Caller, account: Account, to: str) -> None:
        """What `account` gave and has, the account `to` gave and has from now on; raises TooMany."""
        if queries.count_received(tx, account.id) + queries.count_received(tx, to) > MAX_RECEIVED:
            raise TooMany(f"One account can be given at most {MAX_RECEIVED} things.", most=MAX_RECEIVED)
        queries.hand_given_on(tx, account.id, to)
        for share in queries.accepted_from(tx, to):
            self._shares.put_in(tx, share)
        for share in queries.open_to(tx, account.id):
            received = msgspec.structs.replace(share, receiver_id=to, version=share.version + 1)
            self._ledger.change_in(tx, by, share, received)
        queries.hand_received_on(tx, account.id, to)
        for share in queries.open_to(tx, to):
            if share.giver_id == to:  # nobody lends to themselves
                self._ledger.end_in(tx, by, share)
