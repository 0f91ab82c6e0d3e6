"""Attempts, promises, disputes, placements and steps about an item."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

from events.contact import AttemptLogged, DisputeOpened, DisputeResolved, PromiseBroken, PromiseKept, PromiseMade
from events.escalation import PlacedItem, PlacedWithAgency, RecoveryReported, StepAdvanced
from events.money import Money
from tests.support.books.base import Log, uid


class Chasing(Log):
    """What is said about items."""

    def talk(self, item_id: UUID, on: date, name: str) -> None:
        """An attempt, a promise that is broken or kept, a dispute that ends, a step, a placement that recovers."""
        item, currency = self.items[item_id].item, self.items[item_id].currency
        money, base = Money(100, currency), {"branch": item.branch, "effective_on": on, "account_id": item.account_id}
        ids = (item_id,)
        self.say(
            f"attempt-{uid(name)}",
            AttemptLogged(**base, attempt_id=uid(name), channel="call", outcome="reached", item_ids=ids),  # type: ignore[arg-type]
        )
        promise = base | {"promise_id": uid(f"p{name}"), "amount": money, "promised_on": on + timedelta(days=7)}
        stream = f"promise-{uid(f'p{name}')}"
        self.say(stream, PromiseMade(**promise, item_ids=ids, grace_days=3, threshold_pct=100))  # type: ignore[arg-type]
        if on.day % 2:
            self.say(stream, PromiseBroken(**promise, paid=Money(0, currency), reason="not_paid"))  # type: ignore[arg-type]
        else:
            self.say(stream, PromiseKept(**promise, paid=money))  # type: ignore[arg-type]
        dispute = base | {"dispute_id": uid(f"d{name}"), "item_id": item_id, "amount": money}
        stream = f"dispute-{uid(f'd{name}')}"
        self.say(stream, DisputeOpened(**dispute, reason="PRC"))  # type: ignore[arg-type]
        self.say(stream, DisputeResolved(**dispute, outcome="rejected", upheld=Money(0, currency)))  # type: ignore[arg-type]
        placement = base | {"placement_id": uid(f"a{name}"), "agency": "TSI", "phase": "contingency"}
        stream = f"placement-{uid(f'a{name}')}"
        placed = (PlacedItem(item_id=item_id, amount=money),)
        zero = Money(0, currency)
        self.say(stream, PlacedWithAgency(**placement, items=placed, amount=money, fee_bp=3000, flat_fee=zero))  # type: ignore[arg-type]
        self.say(
            stream,
            RecoveryReported(  # type: ignore[arg-type]
                **placement,
                recovered=money,
                recovery_id=uid(f"r{name}"),
                recovered_from="agency",
                gross=money,
                fee=Money(30, currency),
                net=Money(70, currency),
            ),
        )
        version = self._versions[f"delinquency-{item_id}"] + 1
        self.say(f"delinquency-{item_id}", StepAdvanced(**base, item_id=item_id, step=version, label="call"))  # type: ignore[arg-type]
