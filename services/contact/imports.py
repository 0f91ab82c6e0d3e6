"""Rows of imports, and the command of each. A row's ids are given, so that a second run finds everything on record.

What is imported is history: amounts are held against what was billed, not against what is open today.
Source   services/contact/decisions/0002-history-is-held-against-what-was-billed.md
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any, ClassVar, Final
from uuid import UUID

import msgspec

from events.contact import Channel, DisputeOutcome, DisputeReason, Outcome
from events.money import Currency
from services.contact.domain.attempt import LogAttempt
from services.contact.domain.dispute import OpenDispute, ResolveDispute
from services.contact.domain.promise import GRACE_DAYS, THRESHOLD_PCT, MakePromise
from services.contact.handlers import DOMAIN
from services.contact.rim import ITEMS_MAX, RowOwner, happened
from services.kernel.bulk import BulkKind
from services.kernel.errors import Kind, Refused
from services.kernel.rim import money

_SEPARATOR: Final = re.compile(r"[\s;,|]+")


class ItemIdsInvalid(Refused):
    """The cell is no list of item ids."""

    code = "item_ids_invalid"
    kind: ClassVar[Kind] = Kind.INVALID


class DisputeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute as it was opened."""

    dispute_id: UUID
    item_id: UUID
    account_id: UUID | None = None
    amount: str
    currency: Currency
    reason: DisputeReason = "UNK"
    opened_on: date
    owner: RowOwner | None = None


class ResolutionRow(msgspec.Struct, frozen=True, kw_only=True):
    """How a dispute ended. `upheld` and `currency` are needed only where it was upheld in part."""

    dispute_id: UUID
    outcome: DisputeOutcome
    upheld: str | None = None
    currency: Currency = "USD"
    resolved_on: date


class PromiseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A promise as it was made. `item_ids` are parted by blanks, commas or semicolons."""

    promise_id: UUID
    account_id: UUID
    item_ids: str
    amount: str
    currency: Currency
    made_on: date
    promised_on: date
    grace_days: int = GRACE_DAYS
    threshold_pct: int = THRESHOLD_PCT
    plan_id: UUID | None = None


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt as it was logged. `item_ids` as in promises; may be empty."""

    attempt_id: UUID
    account_id: UUID
    channel: Channel
    outcome: Outcome
    attempted_on: date
    item_ids: str = ""
    person_id: UUID | None = None


def import_dispute(row: DisputeRow, _actor: str) -> OpenDispute:
    """Errors: AmountInvalid, DateAhead."""
    return OpenDispute(
        dispute_id=row.dispute_id,
        item_id=row.item_id,
        account_id=row.account_id,
        amount=money(row.amount, row.currency),
        reason=row.reason,
        opened_on=happened(row.opened_on, "opened_on"),
        owner=row.owner,
        historic=True,
    )


def import_resolution(row: ResolutionRow, _actor: str) -> ResolveDispute:
    """Errors: AmountInvalid, DateAhead."""
    upheld = None if row.upheld is None else money(row.upheld, row.currency, "upheld")
    return ResolveDispute(
        dispute_id=row.dispute_id,
        outcome=row.outcome,
        resolved_on=happened(row.resolved_on, "resolved_on"),
        upheld=upheld,
    )


def import_promise(row: PromiseRow, _actor: str) -> MakePromise:
    """Errors: AmountInvalid, ItemIdsInvalid, DateAhead."""
    return MakePromise(
        promise_id=row.promise_id,
        account_id=row.account_id,
        item_ids=_ids(row.item_ids),
        amount=money(row.amount, row.currency),
        made_on=happened(row.made_on, "made_on"),
        promised_on=row.promised_on,
        grace_days=row.grace_days,
        threshold_pct=row.threshold_pct,
        plan_id=row.plan_id,
        historic=True,
    )


def import_attempt(row: AttemptRow, _actor: str) -> LogAttempt:
    """Errors: ItemIdsInvalid, DateAhead."""
    return LogAttempt(
        attempt_id=row.attempt_id,
        account_id=row.account_id,
        channel=row.channel,
        outcome=row.outcome,
        attempted_on=happened(row.attempted_on, "attempted_on"),
        item_ids=_ids(row.item_ids),
        person_id=row.person_id,
    )


def _ids(cell: str) -> tuple[UUID, ...]:
    texts = [text for text in _SEPARATOR.split(cell) if text]
    if len(texts) > ITEMS_MAX:
        raise ItemIdsInvalid(f"at most {ITEMS_MAX} items", field="item_ids")
    try:
        return tuple(UUID(text) for text in texts)
    except ValueError:
        raise ItemIdsInvalid("ids of items, parted by blanks", field="item_ids") from None


KINDS: Final[list[BulkKind[Any, Any]]] = [
    BulkKind("disputes", DisputeRow, import_dispute, DOMAIN),
    BulkKind("dispute-resolutions", ResolutionRow, import_resolution, DOMAIN),
    BulkKind("promises", PromiseRow, import_promise, DOMAIN),
    BulkKind("attempts", AttemptRow, import_attempt, DOMAIN),
]
