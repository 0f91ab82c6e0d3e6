"""Fold recorded facts into the state of a receipt or an item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from events.envelope import Fact
from events.payment import (
    ItemChanged,
    ItemOpened,
    PaymentApplied,
    PaymentIdentified,
    PaymentReceived,
    PaymentRefunded,
    PaymentReversed,
    PaymentUnapplied,
)
from services.payment.domain.state import Absent, MirroredItem, Receipt, Reversal, Share, State

_NONE: Final[Mapping[UUID, int]] = {}
_NO_SHARES: Final[Mapping[UUID, Share]] = {}


def evolve(state: State, fact: Fact) -> State:
    """Fold one recorded fact. Total over the facts of this service: what happened is never refused."""
    match state:
        case Absent():
            return _begin(fact)
        case Receipt():
            return _receipt(state, fact)
        case MirroredItem():
            assert isinstance(fact, ItemChanged), f"stream is corrupt: {type(fact).__name__} of an item"
            return _item(state, fact)


def _begin(fact: Fact) -> State:
    match fact:
        case PaymentReceived():
            return Receipt(
                receipt_id=fact.receipt_id,
                branch=fact.branch,
                received_on=fact.effective_on,
                recorded_account_id=fact.account_id,
                account_id=fact.account_id,
                method=fact.method,
                reference=fact.reference,
                amount=fact.amount.minor,
                currency=fact.amount.currency,
                unapplied=fact.amount.minor,
                shares=_NO_SHARES,
                refunds=_NONE,
            )
        case ItemOpened():
            return MirroredItem(
                item=fact.item,
                number=fact.number,
                original=fact.original.minor,
                currency=fact.original.currency,
                open=fact.original.minor,
                receipts=_NONE,
                credits=_NONE,
                write_offs=_NONE,
            )
        case _:
            raise AssertionError(f"stream is corrupt: it begins with {type(fact).__name__}")


def _receipt(state: Receipt, fact: Fact) -> Receipt:
    match fact:
        case PaymentIdentified():
            return replace(state, account_id=fact.account_id)
        case PaymentApplied():
            shares = dict(state.shares)
            for line in fact.lines:
                before = shares.get(line.item.item_id) or Share(line.item, ())
                shares[line.item.item_id] = before.plus(fact.effective_on, line.amount.minor)
            return replace(state, shares=shares, unapplied=fact.unapplied.minor)
        case PaymentUnapplied():
            shares = dict(state.shares)
            for line in fact.lines:
                shares[line.item.item_id] = shares[line.item.item_id].minus(line.amount.minor)
            return replace(state, shares=shares, unapplied=fact.unapplied.minor)
        case PaymentReversed():
            return replace(state, unapplied=0, reversal=Reversal(fact.reason, fact.effective_on))
        case PaymentRefunded():
            refunds = {**state.refunds, fact.refund_id: fact.amount.minor}
            return replace(state, refunds=refunds, unapplied=fact.unapplied.minor)
        case _:
            raise AssertionError(f"stream is corrupt: {type(fact).__name__} of a receipt")


def _item(state: MirroredItem, fact: ItemChanged) -> MirroredItem:
    by, change, left = fact.caused_by, fact.change.minor, fact.open.minor
    match fact.cause:
        case "applied" | "unapplied":
            receipts = dict(state.receipts)
            settled = receipts.pop(by, 0) - change
            if settled and fact.cause == "applied":
                receipts[by] = settled  # At the end: the newest application.
            elif settled:
                receipts = {key: settled if key == by else minor for key, minor in state.receipts.items()}
            return replace(state, open=left, receipts=receipts)
        case "credited":
            return replace(state, open=left, credits={**state.credits, by: -change})
        case "written_off" | "write_off_reversed":
            return replace(state, open=left, write_offs={**state.write_offs, by: state.write_offs.get(by, 0) - change})
        case "voided":
            return replace(state, open=left, voided=(state.voided or 0) - change)
        case "retainage_released":  # Never written: a release is an item of its own.
            return replace(state, open=left)
