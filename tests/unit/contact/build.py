"""Facts and commands of one story: an account in Chicago with three open items, and what is promised of them."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from events.contact import (
    AttemptLogged,
    DisputeOpened,
    DisputeResolved,
    FollowUpScheduled,
    PromiseBroken,
    PromiseCancelled,
    PromiseKept,
    PromiseMade,
    PromisePaid,
)
from events.item import Item
from events.money import Money
from services.contact.domain import Command, State
from services.contact.domain.attempt import LogAttempt
from services.contact.domain.counting import CountPayment, TakeBackReceipt, UncountPayment
from services.contact.domain.dispute import OpenDispute
from services.contact.domain.follow_up import ScheduleFollowUp
from services.contact.domain.named import Named
from services.contact.domain.promise import MakePromise
from services.contact.handlers import DOMAIN
from services.mirror.known import KnownAccount, KnownItem
from tests.support.scenario import Scenario

MADE_ON, PROMISED_ON = date(2026, 3, 2), date(2026, 3, 13)
DUE_ON = PROMISED_ON + timedelta(days=3)
ACCOUNT, OTHER_ACCOUNT = UUID(int=1), UUID(int=2)
A, B, C = UUID(int=10), UUID(int=11), UUID(int=12)  # Items, each 1,000.00 open of 1,500.00 billed.
ELSEWHERE, FOREIGN, STRANGER, UNHEARD = UUID(int=13), UUID(int=14), UUID(int=15), UUID(int=16)
PROMISE, OLDER, NEWER = UUID(int=20), UUID(int=21), UUID(int=22)
DISPUTE, ATTEMPT, FOLLOW_UP, NOTE = UUID(int=30), UUID(int=40), UUID(int=50), UUID(int=60)
RECEIPT, SECOND = UUID(int=70), UUID(int=71)

given = Scenario[Command, State](DOMAIN).given


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def known(item_id: UUID, *, branch: str = "CHI", account_id: UUID = ACCOUNT, currency: str = "USD") -> KnownItem:
    item = Item(
        item_id=item_id,
        invoice_id=item_id,
        branch=branch,
        account_id=account_id,
        issued_on=date(2026, 1, 2),
        due_on=date(2026, 2, 1),
    )
    return KnownItem(item=item, number=str(item_id.int), open=Money(1_000_00, currency), voided=False)


HOME = KnownAccount(
    account_id=ACCOUNT,
    branch="CHI",
    number="A-1",
    name="Granite Builders",
    profile="commercial_entity",
    currency="USD",
    terms_days=30,
    collector="maria",
)
NAMED = Named(
    account=HOME,
    items=(
        known(A),
        known(B),
        known(C),
        known(ELSEWHERE, branch="DAL"),
        known(FOREIGN, currency="CAD"),
        known(STRANGER, account_id=OTHER_ACCOUNT),
    ),
    billed=tuple((item_id, usd(1_500_00)) for item_id in (A, B, C)),
)


def attempt(**values: Any) -> LogAttempt:
    common = {"attempt_id": ATTEMPT, "account_id": ACCOUNT, "channel": "call", "outcome": "reached", "named": NAMED}
    return LogAttempt(**common | {"attempted_on": MADE_ON, "item_ids": (A,)} | values)


def logged(**values: Any) -> AttemptLogged:
    common = {"branch": "CHI", "effective_on": MADE_ON, "attempt_id": ATTEMPT, "account_id": ACCOUNT}
    return AttemptLogged(**common | {"channel": "call", "outcome": "reached", "item_ids": (A,)} | values)


def follow_up(**values: Any) -> ScheduleFollowUp:
    common = {"follow_up_id": FOLLOW_UP, "account_id": ACCOUNT, "scheduled_on": MADE_ON, "due_on": PROMISED_ON}
    return ScheduleFollowUp(**common | {"item_ids": (A,), "owner": "maria", "named": NAMED} | values)


def scheduled(**values: Any) -> FollowUpScheduled:
    common = {"branch": "CHI", "effective_on": MADE_ON, "follow_up_id": FOLLOW_UP, "account_id": ACCOUNT}
    return FollowUpScheduled(**common | {"item_ids": (A,), "due_on": PROMISED_ON, "owner": "maria"} | values)


def dispute(minor: int = 400_00, **values: Any) -> OpenDispute:
    common = {"dispute_id": DISPUTE, "item_id": A, "amount": usd(minor), "reason": "PRC", "opened_on": MADE_ON}
    return OpenDispute(**common | {"owner": "maria", "named": NAMED} | values)


def disputed(minor: int = 400_00, **values: Any) -> DisputeOpened:
    common = {"branch": "CHI", "effective_on": MADE_ON, "dispute_id": DISPUTE, "account_id": ACCOUNT, "item_id": A}
    return DisputeOpened(**common | {"amount": usd(minor), "reason": "PRC", "owner": "maria"} | values)


def resolved(outcome: str, upheld: int, on: date = PROMISED_ON, **values: Any) -> DisputeResolved:
    common = {"branch": "CHI", "effective_on": on, "dispute_id": DISPUTE, "account_id": ACCOUNT, "item_id": A}
    return DisputeResolved(**common | {"amount": usd(400_00), "outcome": outcome, "upheld": usd(upheld)} | values)


def promise(minor: int = 500_00, **values: Any) -> MakePromise:
    common = {"promise_id": PROMISE, "account_id": ACCOUNT, "item_ids": (A,), "amount": usd(minor), "named": NAMED}
    return MakePromise(**common | {"made_on": MADE_ON, "promised_on": PROMISED_ON} | values)


def made(minor: int = 500_00, promise_id: UUID = PROMISE, **values: Any) -> PromiseMade:
    common = {"branch": "CHI", "effective_on": MADE_ON, "promise_id": promise_id, "account_id": ACCOUNT}
    common |= {"item_ids": (A,), "amount": usd(minor), "promised_on": PROMISED_ON}
    return PromiseMade(**common | {"grace_days": 3, "threshold_pct": 100} | values)


def _progress(promise_id: UUID, on: date, paid: int, amount: int) -> dict[str, Any]:
    return {
        "branch": "CHI",
        "effective_on": on,
        "promise_id": promise_id,
        "account_id": ACCOUNT,
        "amount": usd(amount),
        "promised_on": PROMISED_ON,
        "paid": usd(paid),
    }


def paid(
    change: int,
    total: int,
    cause: int | None = 1,
    *,
    on: date = PROMISED_ON,
    promise_id: UUID = PROMISE,
    amount: int = 500_00,
    receipt_id: UUID = RECEIPT,
    item_id: UUID = A,
) -> PromisePaid:
    """`total` is what counts afterwards; `cause` numbers the payment fact."""
    return PromisePaid(
        **_progress(promise_id, on, total, amount),
        receipt_id=receipt_id,
        item_id=item_id,
        change=usd(change),
        caused_by=None if cause is None else UUID(int=1000 + cause),
    )


def kept(total: int, on: date = PROMISED_ON, promise_id: UUID = PROMISE, amount: int = 500_00) -> PromiseKept:
    return PromiseKept(**_progress(promise_id, on, total, amount))


def broken(total: int, on: date, reason: Any = "not_paid", promise_id: UUID = PROMISE) -> PromiseBroken:
    return PromiseBroken(**_progress(promise_id, on, total, 500_00), reason=reason)


def cancelled(
    reason: Any, on: date, total: int = 0, promise_id: UUID = PROMISE, amount: int = 500_00, **values: Any
) -> PromiseCancelled:
    return PromiseCancelled(**_progress(promise_id, on, total, amount) | values, reason=reason)


def count(minor: int, cause: int = 1, *, received_on: date = PROMISED_ON, **values: Any) -> CountPayment:
    common = {"receipt_id": RECEIPT, "item_id": A, "amount": usd(minor), "received_on": received_on}
    common |= {"applied_on": max(received_on, PROMISED_ON), "caused_by": UUID(int=1000 + cause)}
    return CountPayment(**common | {"promises": (PROMISE,)} | values)


def uncount(minor: int, cause: int = 2, **values: Any) -> UncountPayment:
    common = {"receipt_id": RECEIPT, "item_id": A, "amount": usd(minor), "unapplied_on": PROMISED_ON}
    return UncountPayment(**common | {"caused_by": UUID(int=1000 + cause), "promises": (PROMISE,)} | values)


def take_back(on: date = DUE_ON, cause: int = 3, **values: Any) -> TakeBackReceipt:
    common = {"receipt_id": RECEIPT, "reversed_on": on, "caused_by": UUID(int=1000 + cause)}
    return TakeBackReceipt(**common | {"promises": (PROMISE,)} | values)
