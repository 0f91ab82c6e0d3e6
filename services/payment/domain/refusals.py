"""What the rules of payment say no with. Every code is part of the API."""

from __future__ import annotations

from services.kernel.errors import Kind, Refused
from services.kernel.store import Arriving


class ReceiptUnknown(Refused):
    """No such receipt was recorded."""

    code = "receipt_unknown"
    kind = Kind.UNKNOWN


class ReceiptChanged(Refused):
    """The id was used before, for a receipt with other values."""

    code = "receipt_changed"


class NotPositive(Refused):
    """An amount of money that changes hands is more than nothing."""

    code = "payment_not_positive"
    kind = Kind.INVALID


class CardNumber(Refused):
    """The reference looks like a card number. Those are kept nowhere."""

    code = "card_number_refused"
    kind = Kind.INVALID


class AlreadyIdentified(Refused):
    """The payer is known already, and it is another account."""

    code = "receipt_identified"


class Unidentified(Refused):
    """The payer is unknown, so nothing can be paid with the money, and nobody paid back."""

    code = "receipt_unidentified"


class Reversed(Refused):
    """The bank took the money back."""

    code = "receipt_reversed"


class ReversalChanged(Refused):
    """The receipt was reversed before, for another reason or on another day."""

    code = "reversal_changed"


class Refunded(Refused):
    """Part of the receipt went back to the customer, so it cannot be taken back as a whole."""

    code = "receipt_refunded"


class RefundChanged(Refused):
    """The id was used before, for a refund of another amount."""

    code = "refund_changed"


class BeforeReceived(Refused):
    """Money does nothing before the day it came in."""

    code = "before_received"
    kind = Kind.INVALID


class DateOutOfRange(Refused):
    """No ledger has such a date: a slip of the keyboard."""

    code = "payment_date_out_of_range"
    kind = Kind.INVALID


class OtherCurrency(Refused):
    """The amount is in another currency than the receipt or the item."""

    code = "payment_currency_differs"
    kind = Kind.INVALID


class NothingToApply(Refused):
    """An application has at least one line."""

    code = "application_empty"
    kind = Kind.INVALID


class ItemRepeated(Refused):
    """One command names an item once."""

    code = "item_repeated"
    kind = Kind.INVALID


class ItemUnknown(Arriving):
    """No such item, or the invoice service's fact of it has not arrived yet."""

    code = "item_unknown"
    kind = Kind.UNKNOWN


class OtherAccount(Refused):
    """The item is owed by another account than the one that paid."""

    code = "item_of_other_account"


class MoreThanOpen(Refused):
    """More than is owed on the item."""

    code = "more_than_open"


class MoreThanUnapplied(Refused):
    """More than is left of the receipt."""

    code = "more_than_unapplied"


class MoreThanApplied(Refused):
    """More than the receipt had settled of the item."""

    code = "more_than_applied"


class ApplicationChanged(Refused):
    """The receipt settled another amount of the item on that day."""

    code = "application_changed"


class ItemDiffers(Refused):
    """The item was opened before, with other values."""

    code = "item_differs"


class ItemIsVoid(Refused):
    """The item's invoice should never have been: nothing happens to it any more."""

    code = "item_is_void"


class CreditTooLarge(Refused):
    """More was credited than the item ever stood for."""

    code = "credit_exceeds_item"


class WriteOffUnknown(Refused):
    """The item has no such write-off."""

    code = "write_off_unknown_to_item"
