"""Placing items with a collection agency. A placement is no write-off: its items stay open."""

from __future__ import annotations

from typing import ClassVar, Final
from uuid import UUID

import msgspec

from events.envelope import Fact
from events.escalation import (
    Phase,
    PlacedItem,
    PlacedWithAgency,
)
from events.money import Money
from services.escalation.domain.day import Dated
from services.escalation.domain.placed import is_placed
from services.escalation.domain.seen import (
    CurrencyNotItems,
    ItemPlaced,
    ItemPromised,
    Seen,
    check_account,
    check_branch,
    check_currency,
    check_open,
    seen_item,
)
from services.escalation.domain.state import Absent, Held, Placement, States, hold_stream, placement_stream
from services.kernel.errors import Kind, Refused

FEE_BP_MAX: Final = 10_000  # All of it.


class PlacementDiffers(Refused):
    """The placement is on record with other values."""

    code = "placement_changed"


class NothingToPlace(Refused):
    """A placement has items, each once."""

    code = "placement_items_invalid"
    kind: ClassVar[Kind] = Kind.INVALID


class PlacedNotPositive(Refused):
    """An item is placed with a balance above zero."""

    code = "placed_amount_not_positive"
    kind: ClassVar[Kind] = Kind.INVALID


class FeeInvalid(Refused):
    """An agency earns a share of what it recovers, or a price per placement; never both."""

    code = "placement_fee_invalid"
    kind: ClassVar[Kind] = Kind.INVALID


class ItemDisputed(Refused):
    """The item is contested: an agency would have to hand it back."""

    code = "item_disputed"


class BelowMinimum(Refused):
    """The placement is worth less than the branch places."""

    code = "placement_below_minimum"


class AccountBankrupt(Refused):
    """The account is on hold for bankruptcy: nobody may collect from it."""

    code = "account_in_bankruptcy"


class Placing(msgspec.Struct, frozen=True, kw_only=True):
    """An item to place. `amount` is given for placements of the past only; today the open balance is placed."""

    item_id: UUID
    amount: Money | None = None


class PlaceWithAgency(Dated, frozen=True, kw_only=True):
    """`historic` placements are put on record as they were: what is open, contested or promised today says nothing
    about them. `minimum` is the least that the branch places, in the currency of the items.
    """

    placement_id: UUID
    account_id: UUID
    branch: str | None = None
    agency: str
    phase: Phase
    items: tuple[Placing, ...]
    fee_bp: int = 0
    flat_fee: Money | None = None
    historic: bool = False
    seen: tuple[Seen, ...] = ()
    minimum: Money | None = None

    @property
    def stream(self) -> str:
        return placement_stream(self.placement_id)


def placing_needs(command: PlaceWithAgency) -> list[str]:
    others = {placement_id for seen in command.seen for placement_id in seen.placements} - {command.placement_id}
    return [command.stream, hold_stream(command.account_id), *map(placement_stream, sorted(others))]


def place(command: PlaceWithAgency, states: States) -> list[Fact]:
    """Place items with an agency.

    Errors   in this order: PlacementDiffers (only where it is on record), NothingToPlace, ItemNotKnown,
             NotTheAccounts, NotTheBranchs, CurrencyNotItems, PlacedNotPositive, FeeInvalid, ItemPlaced; and unless it
             is historic ItemClosed, ItemDisputed, ItemPromised, AccountBankrupt, BelowMinimum; DateOutOfRange.
    Holds    an item is with one agency at a time.
    """
    match states[command.stream]:
        case Placement(placed=before):
            if not _same(command, before):
                raise PlacementDiffers("the placement is on record with other values", placed=before)
            return []
        case Absent():
            pass
        case _:
            raise AssertionError("no placement in a placement's stream")
    ids = [placing.item_id for placing in command.items]
    if not ids or len(set(ids)) != len(ids):
        raise NothingToPlace("name at least one item, and each once", field="items")
    seen = [seen_item(item_id, command.seen) for item_id in ids]
    branch = command.branch or seen[0].item.branch
    items = tuple(_placed(placing, one, command, branch) for placing, one in zip(command.items, seen, strict=True))
    amount = Money(sum(item.amount.minor for item in items), seen[0].open.currency)
    flat_fee = _flat_fee(command, amount.currency)
    for one in seen:
        if is_placed(one, states):
            raise ItemPlaced("the item is with an agency already", field="item_id", item_id=one.item.item_id)
    if not command.historic:
        _check_placeable(command, seen, amount, states)
    return [
        PlacedWithAgency(
            branch=branch,
            effective_on=command.day_at(branch),
            placement_id=command.placement_id,
            account_id=command.account_id,
            agency=command.agency,
            phase=command.phase,
            items=items,
            amount=amount,
            fee_bp=command.fee_bp,
            flat_fee=flat_fee,
        )
    ]


def _placed(placing: Placing, seen: Seen, command: PlaceWithAgency, branch: str) -> PlacedItem:
    check_account(command.account_id, seen)
    check_branch(branch, seen)
    amount = placing.amount if command.historic and placing.amount is not None else seen.open
    check_currency(amount, seen)
    if amount.currency != command.seen[0].open.currency:
        raise CurrencyNotItems("items of one placement are in one currency", field="items")
    if command.historic and amount.minor <= 0:
        raise PlacedNotPositive("the amount must be above zero", field="amount")
    return PlacedItem(item_id=placing.item_id, amount=amount)


def _flat_fee(command: PlaceWithAgency, currency: str) -> Money:
    flat_fee = command.flat_fee or Money.zero(currency)
    if flat_fee.currency != currency:
        raise CurrencyNotItems(f"the items' currency is {currency}", field="currency")
    if not 0 <= command.fee_bp <= FEE_BP_MAX:
        raise FeeInvalid(f"basis points are from 0 to {FEE_BP_MAX}", field="fee_bp")
    if flat_fee.minor < 0 or (flat_fee.minor and command.fee_bp):
        raise FeeInvalid("a price per placement, or a share of what is recovered", field="flat_fee")
    return flat_fee


def _check_placeable(command: PlaceWithAgency, items: list[Seen], amount: Money, states: States) -> None:
    for seen in items:
        check_open(seen)
        if seen.disputed:
            raise ItemDisputed("the item is contested", field="item_id", item_id=seen.item.item_id)
        if seen.promised:
            raise ItemPromised("a promise to pay it is still good", field="item_id", item_id=seen.item.item_id)
    match states[hold_stream(command.account_id)]:
        case Held(placed=placed) if placed.reason == "bankruptcy":
            raise AccountBankrupt("the account is on hold for bankruptcy", field="account_id")
        case _:
            pass
    minimum = command.minimum
    if minimum is not None and minimum.currency == amount.currency and amount.minor < minimum.minor:
        raise BelowMinimum(f"{amount} is less than {minimum}", minimum=minimum)


def _same(command: PlaceWithAgency, before: PlacedWithAgency) -> bool:
    """Whether the command says what is on record. Balances that it does not give say nothing: they move."""
    was = {item.item_id: item.amount for item in before.items}
    return (
        [placing.item_id for placing in command.items] == list(was)
        and all(p.amount in (None, was[p.item_id]) for p in command.items)
        and (command.account_id, command.agency, command.phase) == (before.account_id, before.agency, before.phase)
        and command.branch in (None, before.branch)
        and command.fee_bp == before.fee_bp
        and (command.flat_fee or Money.zero(before.amount.currency)) == before.flat_fee
        and command.on in (None, before.effective_on)
    )
