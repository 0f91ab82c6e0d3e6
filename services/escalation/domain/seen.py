"""What a command was prepared with: the items it names, as this service knows them, and the rules about naming them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar
from uuid import UUID

import msgspec

from events.item import Item
from events.money import Money
from services.kernel.errors import Kind, Refused
from services.mirror.known import ItemNotKnown


class ItemClosed(Refused):
    """Nothing is open on the item."""

    code = "item_closed"


class ItemPromised(Refused):
    """A promise to pay the item is still good: nothing is escalated until it is kept or broken."""

    code = "item_promised"


class ItemPlaced(Refused):
    """The item is with an agency: everything about it goes through them."""

    code = "item_placed"


class NotTheAccounts(Refused):
    """The item is another account's."""

    code = "item_of_another_account"


class NotTheBranchs(Refused):
    """The item is another branch's."""

    code = "item_of_another_branch"


class CurrencyNotItems(Refused):
    """The amount is not in the item's currency."""

    code = "item_currency_differs"
    kind: ClassVar[Kind] = Kind.INVALID


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An item by the mirror, and what stands in the way of escalating it.

    `placements` are those that have or had the item, or may have it by an earlier command of the batch: their states
    tell.
    """

    item: Item
    open: Money
    voided: bool = False
    disputed: bool = False
    promised: bool = False
    placements: tuple[UUID, ...] = ()


def seen_item(item_id: UUID, seen: Iterable[Seen]) -> Seen:
    """The item of that id. Errors: ItemNotKnown, which may be about to arrive."""
    for one in seen:
        if one.item.item_id == item_id:
            return one
    raise ItemNotKnown("no such item is known here", field="item_id", item_id=item_id)


def check_open(seen: Seen) -> None:
    """Errors: ItemClosed."""
    if seen.open.minor <= 0:
        raise ItemClosed("nothing is open on the item", field="item_id", item_id=seen.item.item_id)


def check_currency(amount: Money, seen: Seen) -> None:
    """Errors: CurrencyNotItems."""
    if amount.currency != seen.open.currency:
        raise CurrencyNotItems(f"the item's currency is {seen.open.currency}", field="currency")


def check_account(account_id: UUID, seen: Seen) -> None:
    """Errors: NotTheAccounts."""
    if seen.item.account_id != account_id:
        raise NotTheAccounts("the item is another account's", field="item_id", item_id=seen.item.item_id)


def check_branch(branch: str, seen: Seen) -> None:
    """Errors: NotTheBranchs."""
    if seen.item.branch != branch:
        raise NotTheBranchs(f"the item is of {seen.item.branch}", field="branch", item_id=seen.item.item_id)
