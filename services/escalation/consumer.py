"""What escalation does with facts of others: mirror what is owed, contested and promised; count recoveries."""

from __future__ import annotations

from collections.abc import Sequence

from services.escalation import lookups, policy
from services.escalation.handlers import DOMAIN
from services.kernel.delivery import Delivered, Handler
from services.kernel.policy import policy_handler
from services.kernel.store import Conn, Store
from services.mirror import fold


def consumer(store: Store) -> Handler:
    """The handler of the one consumer. Tables first: the commands that follow are prepared from them."""
    decide = policy_handler(store, DOMAIN, policy.when, policy.ACTOR)

    async def learn(conn: Conn, batch: Sequence[Delivered]) -> None:
        await fold.keep(conn, batch)
        await lookups.keep(conn, batch)
        await decide(conn, batch)

    return learn
