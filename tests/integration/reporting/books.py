"""Books kept twice: every entry is a fact for the projections, and a posting from which tests compute what reports say.

A report that equals a sum of postings is right for its own reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from events import contact, escalation, payment
from events.money import Money
from tests.integration.reporting.ledger import Ledger
from tests.integration.reporting.record import Bill, Posting, some_id


class Books(Ledger):
    """The ledger, and what is done about what is late."""

    def write_off(self, bill: Bill, minor: int, on: date) -> UUID:
        write_off_id = some_id("write-off", self._next())
        common: dict[str, Any] = {
            "branch": bill.item.branch,
            "effective_on": on,
            "write_off_id": write_off_id,
            "account_id": bill.item.account_id,
            "item_id": bill.id,
            "amount": Money(minor, bill.currency),
            "reason": "uncollectable",
            "requested_by": "ann",
        }
        self._tell(escalation.WriteOffRequested(**common))
        self._tell(escalation.WriteOffApproved(**common, approved_by="bob"))
        self._written(bill, write_off_id, "written_off", -minor, on)
        return write_off_id

    def reverse_write_off(self, bill: Bill, write_off_id: UUID, minor: int, on: date) -> None:
        fact = escalation.WriteOffReversed(
            branch=bill.item.branch,
            effective_on=on,
            write_off_id=write_off_id,
            account_id=bill.item.account_id,
            item_id=bill.id,
            amount=Money(minor, bill.currency),
            reversed_by="bob",
        )
        self._tell(fact)
        self._written(bill, write_off_id, "write_off_reversed", minor, on)

    def promise(self, account_id: UUID, bills: Sequence[Bill], minor: int, made_on: date, promised_on: date) -> UUID:
        promise_id = some_id("promise", self._next())
        fact = contact.PromiseMade(
            branch=bills[0].item.branch,
            effective_on=made_on,
            promise_id=promise_id,
            account_id=account_id,
            item_ids=tuple(bill.id for bill in bills),
            amount=Money(minor, bills[0].currency),
            promised_on=promised_on,
            grace_days=3,
            threshold_pct=100,
        )
        self._tell(fact)
        return promise_id

    def dispute(self, bill: Bill, minor: int, on: date) -> UUID:
        dispute_id = some_id("dispute", self._next())
        fact = contact.DisputeOpened(
            branch=bill.item.branch,
            effective_on=on,
            dispute_id=dispute_id,
            account_id=bill.item.account_id,
            item_id=bill.id,
            amount=Money(minor, bill.currency),
            reason="PRC",
            owner="sam",
        )
        self._tell(fact)
        return dispute_id

    def resolve(self, bill: Bill, dispute_id: UUID, minor: int, on: date) -> None:
        fact = contact.DisputeResolved(
            branch=bill.item.branch,
            effective_on=on,
            dispute_id=dispute_id,
            account_id=bill.item.account_id,
            item_id=bill.id,
            amount=Money(minor, bill.currency),
            outcome="rejected",
            upheld=Money(0, bill.currency),
        )
        self._tell(fact)

    def place(self, bill: Bill, minor: int, on: date, agency: str = "TSI", phase: str = "contingency") -> UUID:
        placement_id = some_id("placement", self._next())
        fact = escalation.PlacedWithAgency(
            branch=bill.item.branch,
            effective_on=on,
            placement_id=placement_id,
            account_id=bill.item.account_id,
            agency=agency,
            phase=phase,  # type: ignore[arg-type]
            items=(escalation.PlacedItem(item_id=bill.id, amount=Money(minor, bill.currency)),),
            amount=Money(minor, bill.currency),
            fee_bp=3_000,
            flat_fee=Money(0, bill.currency),
        )
        self._tell(fact)
        return placement_id

    def recover(self, bill: Bill, placement_id: UUID, gross: int, fee: int, on: date, source: str = "agency") -> None:
        fact = escalation.RecoveryReported(
            branch=bill.item.branch,
            effective_on=on,
            placement_id=placement_id,
            account_id=bill.item.account_id,
            agency="TSI",
            phase="contingency",
            recovered=Money(gross, bill.currency),
            recovery_id=some_id("recovery", self._next()),
            recovered_from=source,  # type: ignore[arg-type]
            gross=Money(gross, bill.currency),
            fee=Money(fee, bill.currency),
            net=Money(gross - fee, bill.currency),
        )
        self._tell(fact)

    def hold(self, branch: str, account_id: UUID, on: date) -> None:
        self._tell(escalation.HoldPlaced(branch=branch, effective_on=on, account_id=account_id, reason="past_due"))

    def attempt(self, bill: Bill, on: date) -> None:
        fact = contact.AttemptLogged(
            branch=bill.item.branch,
            effective_on=on,
            attempt_id=some_id("attempt", self._next()),
            account_id=bill.item.account_id,
            channel="call",
            outcome="reached",
            item_ids=(bill.id,),
        )
        self._tell(fact)

    def _written(self, bill: Bill, write_off_id: UUID, cause: str, change: int, on: date) -> None:
        opened = sum(p.minor for p in self.postings if p.kind == "open" and p.id == bill.id) + change
        fact = payment.ItemChanged(
            branch=bill.item.branch,
            effective_on=on,
            item=bill.item,
            cause=cause,  # type: ignore[arg-type]
            caused_by=write_off_id,
            change=Money(change, bill.currency),
            open=Money(opened, bill.currency),
        )
        self._post("open", cause, bill, change, on, self._tell(fact))


Key = tuple[Any, ...]
BY: dict[str, Callable[[Posting], Key]] = {
    "branch": lambda p: (p.branch, p.currency),
    "account": lambda p: (p.account_id, p.currency),
    "job": lambda p: (p.account_id, p.job_id, p.currency),
    "item": lambda p: (p.id, p.account_id, p.currency),
    "total": lambda p: (p.currency,),
}


def aged(
    postings: Iterable[Posting],
    as_of: date,
    by: str,
    *,
    anchor: str = "due",
    ends: Sequence[int] = (30, 60, 90, 120),
    in_bucket: bool = False,
) -> dict[Key, dict[str, Any]]:
    """Aging rows in minor units, by key: a list of buckets, past_due, retainage, unapplied and total.

    A row is left out where every (kind, bucket) of it is zero.
    """
    cells: dict[Key, dict[tuple[str, int], int]] = {}
    for p in postings:
        days = (as_of - (p.due_on if anchor == "due" else p.issued_on)).days
        at = 0 if days <= 0 else 1 + sum(days > end for end in ends)
        row = cells.setdefault(BY[by](p), {})
        row[p.kind, at] = row.get((p.kind, at), 0) + p.minor
    found: dict[Key, dict[str, Any]] = {}
    for key, row in cells.items():
        if not any(row.values()):
            continue
        sums = {kind: [row.get((kind, at), 0) for at in range(len(ends) + 2)] for kind in ("open", "unapplied")}
        buckets = [o + (u if in_bucket else 0) for o, u in zip(sums["open"], sums["unapplied"], strict=True)]
        found[key] = {
            "buckets": buckets,
            "past_due": sum(buckets[1:]),
            "retainage": sum(minor for (kind, _), minor in row.items() if kind == "retainage"),
            "unapplied": None if in_bucket else sum(sums["unapplied"]),
            "total": sum(row.values()),
        }
    return found
