"""What books consist of: the log of facts, items, receipts, and the postings that say what stood open when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid5

from events.codec import wire_of
from events.envelope import Envelope, Fact
from events.item import Item
from events.money import Money
from events.payment import ItemChanged, Method
from services.kernel.delivery import Delivered

SPACE = UUID("6f70656e-6974-656d-0000-000000000000")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def uid(name: str) -> UUID:
    """The same id for the same name, in every run."""
    return uuid5(SPACE, name)


@dataclass
class Billed:
    item: Item
    currency: str
    open: int
    billed: int
    retainage: int = 0
    credited: int = 0
    void: bool = False
    releases: list[UUID] = field(default_factory=list)


@dataclass
class Cash:
    receipt_id: UUID
    branch: str
    account_id: UUID | None
    currency: str
    method: Method
    received_on: date
    amount: int
    unapplied: int
    applied: dict[UUID, int] = field(default_factory=dict)
    last_on: date = date.min
    gone: bool = False


@dataclass(frozen=True)
class Posting:
    """One change of receivables: what, whose, since when it is true, since when it is known."""

    kind: str
    branch: str
    account_id: UUID | None
    job_id: UUID | None
    item_id: UUID
    currency: str
    issued_on: date
    due_on: date
    effective_on: date
    recorded_at: datetime
    minor: int


class Log:
    """Everything recorded lies in `log`, in the order of recording. One step of the clock per fact."""

    def __init__(self, recorded_from: datetime = NOON) -> None:
        self.log: list[Delivered] = []
        self.items: dict[UUID, Billed] = {}
        self.receipts: dict[UUID, Cash] = {}
        self.postings: list[Posting] = []
        self.now = recorded_from
        self._versions: dict[str, int] = defaultdict(int)
        self._seqs: dict[str, int] = defaultdict(int)

    def say(self, stream: str, fact: Fact) -> Delivered:
        """Record any fact as it is."""
        wire = wire_of(fact)
        service = wire.split(".")[1]
        self._versions[stream] += 1
        self._seqs[service] += 1
        self.now += timedelta(seconds=1)
        known = Delivered(
            Envelope(
                event_id=uid(f"{stream}@{self._versions[stream]}"),
                type=wire,
                source=f"/openitem/{service}",
                stream=stream,
                stream_version=self._versions[stream],
                seq=self._seqs[service],
                recorded_at=self.now,
                actor="tester",
                branch=fact.branch,
                correlation_id="test",
            ),
            fact,
        )
        self.log.append(known)
        return known

    def open_on(self, as_of: date, known_at: datetime | None = None) -> Iterable[Posting]:
        """The postings that count on a day, as far as they were known."""
        return [p for p in self.postings if p.effective_on <= as_of and (known_at is None or p.recorded_at <= known_at)]

    def _change(self, billed: Billed, cause: str, caused_by: UUID, minor: int, on: date, *, post: bool = False) -> None:
        billed.open += minor
        known = self._changed(billed.item, cause, caused_by, minor, billed.open, billed.currency, on)
        if post:
            self._post("open", billed.item, billed.currency, on, known, minor)

    def _changed(
        self, item: Item, cause: str, caused_by: UUID, minor: int, left: int, currency: str, on: date
    ) -> Delivered:
        fact = ItemChanged(
            branch=item.branch,
            effective_on=on,
            item=item,
            cause=cause,  # type: ignore[arg-type]
            caused_by=caused_by,
            change=Money(minor, currency),
            open=Money(left, currency),
        )
        return self.say(f"item-{item.item_id}", fact)

    def _cash(self, cash: Cash, on: date, known: Delivered, minor: int) -> None:
        day = cash.received_on
        at = known.envelope.recorded_at
        self.postings.append(
            Posting(
                "unapplied",
                cash.branch,
                cash.account_id,
                None,
                cash.receipt_id,
                cash.currency,
                day,
                day,
                on,
                at,
                minor,
            )
        )

    def _post(self, kind: str, item: Item, currency: str, on: date, known: Delivered, minor: int) -> None:
        at = known.envelope.recorded_at
        self.postings.append(
            Posting(
                kind,
                item.branch,
                item.account_id,
                item.job_id,
                item.item_id,
                currency,
                item.issued_on,
                item.due_on,
                on,
                at,
                minor,
            )
        )
