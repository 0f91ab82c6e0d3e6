"""What a command names that others own: an account and its items. Checks that they are known and belong together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec

from events.money import Money
from services.kernel.errors import Kind, Refused
from services.mirror.known import AccountNotKnown, ItemNotKnown, KnownAccount, KnownItem


class NoItems(Refused):
    """The command must name at least one item."""

    code = "items_missing"
    kind = Kind.INVALID


class ItemOfOtherAccount(Refused):
    """The item is another account's."""

    code = "contact_item_of_other_account"
    kind = Kind.INVALID


class SeveralBranches(Refused):
    """The items stand in several branches; a fact belongs to one."""

    code = "items_of_several_branches"
    kind = Kind.INVALID


class CurrencyDiffers(Refused):
    """The amount is in another currency than the item."""

    code = "contact_currency_differs"
    kind = Kind.INVALID


class AmountNotPositive(Refused):
    """The amount must be above zero."""

    code = "contact_amount_not_positive"
    kind = Kind.INVALID


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """What the mirror knew when the command was prepared. `billed` is given where history is judged by it."""

    account: KnownAccount | None = None
    items: tuple[KnownItem, ...] = ()
    billed: tuple[tuple[UUID, Money], ...] = ()

    def items_of(self, account_id: UUID, item_ids: Collection[UUID]) -> Sequence[KnownItem]:
        """The items named, all of the account. Errors: ItemNotKnown, ItemOfOtherAccount."""
        known = {item.item.item_id: item for item in self.items}
        for item_id in item_ids:
            if item_id not in known:
                raise ItemNotKnown("no such item, or not in your branches", field="item_ids", item_id=item_id)
            if known[item_id].item.account_id != account_id:
                raise ItemOfOtherAccount("the item is another account's", field="item_ids", item_id=item_id)
        return [known[item_id] for item_id in item_ids]

    def account_known(self, account_id: UUID) -> KnownAccount:
        """The account named. Errors: AccountNotKnown."""
        if self.account is None:
            raise AccountNotKnown("no such account, or not in your branches", field="account_id", account_id=account_id)
        return self.account

    def billed_of(self, item_id: UUID) -> Money:
        """What was billed on the item. Errors: ItemNotKnown while the invoice's own fact has yet to arrive."""
        for known, billed in self.billed:
            if known == item_id:
                return billed
        raise ItemNotKnown("the item's invoice is not known here yet", field="item_id", item_id=item_id)

    def branch_of(self, account_id: UUID, item_ids: Collection[UUID]) -> str:
        """Where a fact about the account belongs: the branch of its items where they share one, else the home branch.

        Errors   ItemNotKnown, ItemOfOtherAccount, AccountNotKnown.
        """
        branches = {item.item.branch for item in self.items_of(account_id, item_ids)}
        if len(branches) == 1:
            return branches.pop()
        return self.account_known(account_id).branch


def in_order(item_ids: Collection[UUID]) -> tuple[UUID, ...]:
    """Each item once, sorted: the same set is the same value, however it was written."""
    return tuple(sorted(set(item_ids)))


def require_positive(amount: Money) -> None:
    """Errors: AmountNotPositive."""
    if amount.minor <= 0:
        raise AmountNotPositive("the amount must be above zero", field="amount")
