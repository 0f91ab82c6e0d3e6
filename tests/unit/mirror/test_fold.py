"""The pure half of the mirror's fold: one row per key, whatever the batch repeats."""

from datetime import date
from uuid import UUID

from events.envelope import Fact
from events.invoice import AccountChanged, AccountOpened, CreditNoteIssued, InvoiceIssued, InvoiceVoided
from events.item import Item
from events.money import Money
from events.payment import ItemChanged, ItemOpened
from services.mirror.fold import rows_of
from tests.support.delivery import delivered

DAY = date(2025, 3, 1)
ACCOUNT = UUID(int=1)
INVOICE = UUID(int=2)
ITEM = Item(
    item_id=INVOICE, invoice_id=INVOICE, branch="CHI", account_id=ACCOUNT, issued_on=DAY, due_on=date(2025, 3, 31)
)


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def issued(total: int = 100_00, retainage: int = 10_00) -> Fact:
    return InvoiceIssued(
        branch="CHI",
        effective_on=DAY,
        item=ITEM,
        number="4711",
        terms="net 30",
        total=usd(total),
        tax=usd(0),
        retainage=usd(retainage),
    )


def credited(amount: int) -> Fact:
    return CreditNoteIssued(
        branch="CHI",
        effective_on=DAY,
        item=ITEM,
        credit_note_id=UUID(int=3),
        number="CN-1",
        amount=usd(amount),
        reason="price",
        credited=usd(amount),
    )


def voided() -> Fact:
    return InvoiceVoided(
        branch="CHI",
        effective_on=DAY,
        item=ITEM,
        reason="entered twice",
        cancelled=usd(100_00),
        retainage_cancelled=usd(10_00),
    )


def account(cls: type[AccountOpened] | type[AccountChanged], terms_days: int) -> Fact:
    return cls(branch="CHI", effective_on=DAY, account_id=ACCOUNT, number="A-1", currency="USD", terms_days=terms_days)


def test_what_is_billed_excludes_the_retainage_withheld() -> None:
    [row] = rows_of([delivered(issued(), 1)]).billed
    assert (row.billed_minor, row.credited_minor, row.voided, row.number) == (90_00, None, False, "4711")


def test_facts_of_one_invoice_in_one_batch_become_one_row() -> None:
    batch = [delivered(issued(), 1), delivered(credited(5_00), 2), delivered(voided(), 3)]
    [row] = rows_of(batch).billed
    assert (row.billed_minor, row.credited_minor, row.voided, row.version) == (90_00, 5_00, True, 3)
    assert rows_of(reversed(batch)) == rows_of(batch)


def test_the_newest_word_on_an_account_counts() -> None:
    batch = [delivered(account(AccountOpened, 30), 1), delivered(account(AccountChanged, 45), 2)]
    for order in (batch, batch[::-1]):
        [row] = rows_of(order).accounts
        assert (row.terms_days, row.version) == (45, 2)


def test_an_item_keeps_the_number_of_its_first_fact() -> None:
    opened = ItemOpened(branch="CHI", effective_on=DAY, item=ITEM, number="4711", original=usd(90_00))
    changed = ItemChanged(
        branch="CHI",
        effective_on=DAY,
        item=ITEM,
        cause="applied",
        caused_by=UUID(int=9),
        change=usd(-40_00),
        open=usd(50_00),
    )
    batch = [delivered(opened, 1), delivered(changed, 2)]
    for order in (batch, batch[::-1], batch + batch):
        [row] = rows_of(order).open
        assert (row.open_minor, row.number, row.version) == (50_00, "4711", 2)
