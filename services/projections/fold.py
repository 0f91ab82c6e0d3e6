"""All read models together: a batch of facts in, the rows it changes out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

from events.envelope import Fact
from events.payment import (
    PaymentApplied,
    PaymentIdentified,
    PaymentReceived,
    PaymentRefunded,
    PaymentReversed,
    PaymentUnapplied,
)
from events.registry import REGISTRY
from services.kernel.delivery import Known
from services.projections.deltas import Deltas, Fold, Model, Receipt
from services.projections.models.bad_debt import BAD_DEBT
from services.projections.models.balance import BALANCES
from services.projections.models.cash import CASH
from services.projections.models.chase import CHASE
from services.projections.models.control import CONTROLS
from services.projections.models.dimensions import DIMENSIONS
from services.projections.models.movement import MOVEMENTS
from services.projections.models.open_item import OPEN_ITEMS
from services.projections.models.timeline import TIMELINES
from services.projections.table import Table

# The order is the order of writing, the same in every worker. Rows that nobody else has come first; rows that many
# share come last, so that their locks are held for the shortest time.
MODELS: Final[Sequence[Model]] = (
    MOVEMENTS,
    TIMELINES,
    CHASE,
    BAD_DEBT,
    OPEN_ITEMS,
    CASH,
    CONTROLS,
    DIMENSIONS,
    BALANCES,
)
TABLES: Final[Sequence[Table[Any]]] = [table for model in MODELS for table in model.tables]

_FOLDS: Final[dict[type[Fact], list[Fold]]] = {}
for _model in MODELS:
    for _kind, _fold in _model.folds.items():
        _FOLDS.setdefault(_kind, []).append(_fold)
# What no read model takes, by wire name: today's versions, so that one nobody here can read is still found.
IGNORED: Final = frozenset(known.wire for known in REGISTRY.all() if known.cls not in _FOLDS)
# Facts of a receipt that do not repeat when it came in. Asked by exact type: isinstance is slow to say no.
_LATER: Final = frozenset({PaymentIdentified, PaymentApplied, PaymentUnapplied, PaymentReversed, PaymentRefunded})


def fold(
    batch: Iterable[Known],
    receipts: Mapping[UUID, Receipt] | None = None,
    begun: Mapping[str, date] | None = None,
) -> Deltas:
    """The rows that `batch` changes.

    Shapes   facts of one stream in order; `receipts` has those that `earlier_receipts` asks for; a branch with facts
             from before `begun`, or not in it, has its beginning written.
    Holds    folding a batch gives the same as folding its parts one after the other; facts of different streams may
             change places.
    """
    out = Deltas(receipts, begun)
    fold_into(out, batch)
    return out


def fold_into(out: Deltas, batch: Iterable[Known]) -> None:
    """The rows that `batch` changes, on top of those that are there."""
    for known in batch:
        fact: Any = known.fact
        kind = type(fact)
        if kind is PaymentReceived:
            out.receipts[fact.receipt_id] = Receipt(fact.effective_on, fact.method)
        elif kind in _LATER:
            # Somebody decided that the receipt's first fact is never applied: what came after it still adds up.
            out.receipts.setdefault(fact.receipt_id, Receipt(fact.effective_on, "unknown"))
        for each in _FOLDS.get(kind, ()):
            each(out, known)


def earlier_receipts(batch: Iterable[Known]) -> set[UUID]:
    """The receipts that facts of the batch speak of and that came before it."""
    asked: set[UUID] = set()
    here: set[UUID] = set()
    for known in batch:
        fact: Any = known.fact
        kind = type(fact)
        if kind is PaymentReceived:
            here.add(fact.receipt_id)
        elif kind in _LATER:
            asked.add(fact.receipt_id)
    return asked - here
