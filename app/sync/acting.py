"""Acts on entities themselves, where no service of a noun does them: put down, and shown by the tables, in one act."""

from collections.abc import Sequence

from app.store.tx import Reader, Tx
from app.sync import queries
from app.sync.authority import Authority
from app.sync.model import Part
from app.sync.replica import Replica


class Acting:
    """At a home's authority or at a replica of it. Nothing is asked of policy."""

    def __init__(self, authority: Authority, replica: Replica) -> None:
        self._authority = authority
        self._replica = replica

    def is_authority_in(self, reader: Reader, home_id: str) -> bool:
        """Whether this node orders that log; raises LookupError where it has none."""
        shared = queries.shared(reader, home_id)
        if shared is None:
            raise LookupError(home_id)
        return shared.cloud_id is None

    def do_in(self, tx: Tx, home_id: str, actor: str, parts: Sequence[Part]) -> None:
        """Do `parts` as the person with the key `actor`."""
        if self.is_authority_in(tx, home_id):
            self._authority.local_in(tx, home_id, actor, parts, is_shown=False)
        else:
            self._replica.act_in(tx, home_id, actor, parts)
            self._replica.show_in(tx, home_id, {(part.kind, part.id) for part in parts})
