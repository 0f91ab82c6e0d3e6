"""Each fact and what it does to the rows, without a database."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TypeVar

import msgspec
import pytest

from events.contact import AttemptLogged, FollowUpScheduled
from events.escalation import HoldPlaced, HoldReleased
from events.invoice import AccountChanged
from events.registry import REGISTRY
from services.projections.deltas import Deltas, Receipt
from services.projections.fold import IGNORED, MODELS, earlier_receipts, fold
from services.projections.models.bad_debt import PLACEMENT, PLACEMENT_ITEM, RECOVERY, WRITE_OFF
from services.projections.models.balance import BALANCE, add_up
from services.projections.models.cash import BEHAVIOUR, CASH_DAY, CASH_MOVEMENT
from services.projections.models.chase import DISPUTE, FOLLOW_UP, HOLD, LAST_CONTACT, PROMISE, STEP
from services.projections.models.control import CONTROL
from services.projections.models.dimensions import ACCOUNT, BRANCH
from services.projections.models.movement import MOVEMENT, MOVEMENTS
from services.projections.models.open_item import OPEN_ITEM
from services.projections.models.timeline import TIMELINE
from services.projections.table import Table
from tests.support.books import Books, uid

R = TypeVar("R", bound=msgspec.Struct)
JAN, FEB, MAR = date(2025, 1, 10), date(2025, 2, 10), date(2025, 3, 10)
NOT_FOLDED = {"payment.item_opened"}  # The invoice has said it all, and the mirror is the payment service's own.


def one(out: Deltas, table: Table[R], *key: object) -> R:
    [row] = [row for row in out.rows(table) if tuple(getattr(row, name) for name in table.key) == key]
    return row


def moves(out: Deltas) -> list[tuple[str, str, int]]:
    return [(row.kind, row.cause, row.amount_minor) for row in out.rows(MOVEMENT)]


@pytest.fixture
def books() -> Books:
    return Books()


class TestInvoices:
    def test_retainage_is_withheld_apart_from_what_ages(self, books: Books) -> None:
        item = books.issue("1", "B1", "acme", 100_00, JAN, retainage=10_00)
        out = fold(books.log)
        assert moves(out) == [("open", "issued", 90_00), ("retainage", "issued", 10_00)]
        row = one(out, OPEN_ITEM, item)
        assert (row.kind, row.total_minor, row.open_minor, row.retainage_minor) == ("invoice", 100_00, 90_00, 10_00)
        assert one(out, CONTROL, "B1", "USD").invoiced_minor == 100_00

    def test_a_release_moves_retainage_to_an_item_of_its_own(self, books: Books) -> None:
        item = books.issue("1", "B1", "acme", 100_00, JAN, retainage=10_00)
        release = books.release("rel", item, 4_00, MAR)
        out = fold(books.log[-1:])
        assert moves(out) == [("retainage", "released", -4_00), ("open", "released", 4_00)]
        assert one(out, OPEN_ITEM, item).released_minor == 4_00
        row = one(out, OPEN_ITEM, release)
        assert (row.kind, row.issued_on, row.open_minor, row.number) == ("release", MAR, 4_00, "rel")
        assert not out.rows(CONTROL), "the ledger is no richer"

    def test_a_branch_begins_with_its_earliest_movement(self, books: Books) -> None:
        for number, day in (("1", FEB), ("2", JAN), ("3", MAR)):
            books.issue(number, "B1", "acme", 100_00, day)
        assert one(fold(books.log), BRANCH, "B1").first_on == JAN

    def test_a_branch_that_began_before_is_left_alone(self, books: Books) -> None:
        books.issue("1", "B1", "acme", 100_00, FEB)
        assert not fold(books.log[-1:], begun={"B1": JAN}).rows(BRANCH)

    def test_a_void_takes_back_invoice_retainage_and_releases(self, books: Books) -> None:
        item = books.issue("1", "B1", "acme", 100_00, JAN, retainage=10_00)
        books.release("rel", item, 4_00, FEB)
        books.credit("cn", item, 5_00, FEB)
        books.void(item, MAR)
        out = fold(books.log)
        assert sum(minor for _, _, minor in moves(out)) == 0
        assert {row.open_minor for row in out.rows(OPEN_ITEM)} == {0}
        control = one(out, CONTROL, "B1", "USD")
        assert (control.invoiced_minor, control.credited_minor, control.voided_minor) == (100_00, 5_00, 95_00)

    def test_an_account_without_its_collector_any_more_has_none(self, books: Books) -> None:
        books.account("acme", "B1", collector="kim")
        opened = books.log[-1].fact
        changed = AccountChanged(
            **{name: getattr(opened, name) for name in opened.__struct_fields__ if name != "collector"}
        )
        books.say(f"account-{uid('acme')}", changed)
        assert one(fold(books.log), ACCOUNT, uid("acme")).collector is None


class TestReceipts:
    def test_an_unknown_payers_money_is_nobodys_until_he_is_known(self, books: Books) -> None:
        receipt = books.receive("r", "B1", None, 50_00, JAN)
        books.identify(receipt, "acme", FEB)
        out = fold(books.log)
        lines = [(row.account_id, row.effective_on, row.amount_minor) for row in out.rows(MOVEMENT)]
        assert lines == [(None, JAN, -50_00), (None, FEB, 50_00), (uid("acme"), FEB, -50_00)]
        assert one(out, OPEN_ITEM, receipt).account_id == uid("acme")
        assert [row.type for row in out.rows(TIMELINE)] == ["payment.identified"]

    def test_a_receipt_is_a_negative_item_and_ages_from_its_own_date(self, books: Books) -> None:
        receipt = books.receive("r", "B1", "acme", 50_00, JAN)
        row = one(fold(books.log), OPEN_ITEM, receipt)
        assert (row.kind, row.total_minor, row.open_minor, row.due_on) == ("receipt", -50_00, -50_00, JAN)
        [move] = fold(books.log).rows(MOVEMENT)
        assert (move.kind, move.due_on, move.issued_on, move.item_id) == ("unapplied", JAN, JAN, None)

    def test_one_receipt_settles_many_items_and_what_is_said_twice_counts_once(self, books: Books) -> None:
        first = books.issue("1", "B1", "acme", 30_00, JAN)
        second = books.issue("2", "B1", "acme", 40_00, JAN)
        start = len(books.log)
        receipt = books.receive("r", "B1", "acme", 60_00, MAR)
        books.apply(receipt, {first: 30_00, second: 20_00}, MAR)
        out = fold(books.log[start:])
        assert moves(out) == [
            ("unapplied", "received", -60_00),
            ("unapplied", "applied", 50_00),
            ("open", "applied", -30_00),
            ("open", "applied", -20_00),
        ]
        assert one(out, OPEN_ITEM, second).paid_minor == 20_00
        assert one(out, OPEN_ITEM, second).stated_minor == 20_00
        assert one(out, OPEN_ITEM, receipt).open_minor == -10_00
        assert [(row.type, row.amount_minor) for row in out.rows(TIMELINE)] == [
            ("payment.received", 60_00),
            ("payment.applied", 30_00),
            ("payment.applied", 20_00),
        ]

    def test_later_facts_of_a_receipt_take_its_date_and_method_from_before(self, books: Books) -> None:
        item = books.issue("1", "B1", "acme", 30_00, JAN, due_on=FEB)
        receipt = books.receive("r", "B1", "acme", 30_00, MAR, method="ach")
        start = len(books.log)
        books.apply(receipt, {item: 30_00}, date(2025, 4, 1))
        books.reverse(receipt, date(2025, 4, 2))
        later = books.log[start:]
        assert earlier_receipts(later) == {receipt}
        assert earlier_receipts(books.log) == set()
        out = fold(later, {receipt: Receipt(MAR, "ach")})
        assert {row.due_on for row in out.rows(MOVEMENT) if row.kind == "unapplied"} == {MAR}
        assert one(out, CASH_DAY, date(2025, 4, 2), "B1", "USD", "ach").reversed_minor == 30_00

    def test_how_late_is_weighed_by_amount_and_undone_with_the_payment(self, books: Books) -> None:
        item = books.issue("1", "B1", "acme", 30_00, JAN, due_on=FEB)
        receipt = books.receive("r", "B1", "acme", 30_00, MAR)
        books.apply(receipt, {item: 30_00}, date(2025, 6, 1))
        row = one(fold(books.log), BEHAVIOUR, uid("acme"), "B1", "USD")
        assert (row.paid_minor, row.late_minor_days) == (30_00, 30_00 * 28)
        books.reverse(receipt, date(2025, 6, 2))
        row = one(fold(books.log), BEHAVIOUR, uid("acme"), "B1", "USD")
        assert (row.paid_minor, row.late_minor_days) == (0, 0)

    def test_refunds_and_reversals_are_cash_that_went_back(self, books: Books) -> None:
        receipt = books.receive("r", "B1", "acme", 50_00, JAN, method="card")
        books.refund("f", receipt, 20_00, FEB)
        bounced = books.receive("nsf", "B1", "acme", 5_00, JAN)
        books.reverse(bounced, MAR)
        out = fold(books.log)
        told = [(row.cause, row.method, row.amount_minor) for row in out.rows(CASH_MOVEMENT)]
        assert told == [
            ("received", "card", 50_00),
            ("refunded", "card", -20_00),
            ("received", "check", 5_00),
            ("reversed", "check", -5_00),
        ]
        assert one(out, OPEN_ITEM, receipt).cancelled_minor == -20_00

    def test_money_of_one_branch_on_anothers_item_moves_receivables_between_them(self, books: Books) -> None:
        item = books.issue("1", "B2", "acme", 30_00, JAN)
        receipt = books.receive("r", "B1", "acme", 30_00, FEB)
        books.apply(receipt, {item: 30_00}, FEB)
        out = fold(books.log)
        assert one(out, CONTROL, "B1", "USD").transferred_minor == 30_00
        assert one(out, CONTROL, "B2", "USD").transferred_minor == -30_00


class TestWriteOffs:
    def test_only_what_payment_closed_counts_not_what_was_asked_for(self, books: Books) -> None:
        item = books.issue("1", "B1", "acme", 30_00, JAN)
        books.write_off(item, 99_00, MAR)
        out = fold(books.log)
        row = one(out, WRITE_OFF, uid(f"off {item}"))
        assert (row.status, row.requested_minor, row.written_minor) == ("approved", 99_00, 30_00)
        assert (row.requested_by, row.decided_by) == ("ann", "bob")
        assert one(out, CONTROL, "B1", "USD").written_off_minor == 30_00
        assert moves(out)[-1] == ("open", "written_off", -30_00)

    def test_a_void_gives_it_back(self, books: Books) -> None:
        item = books.issue("1", "B1", "acme", 30_00, JAN)
        books.write_off(item, 10_00, FEB)
        books.void(item, MAR)
        out = fold(books.log)
        assert one(out, WRITE_OFF, uid(f"off {item}")).reversed_minor == 10_00
        assert one(out, CONTROL, "B1", "USD").written_off_minor == 0


class TestChasing:
    def test_a_conversation_shows_everywhere(self, books: Books) -> None:
        item = books.issue("1", "B1", "acme", 30_00, JAN)
        books.talk(item, date(2025, 3, 11), "t")
        out = fold(books.log)
        assert one(out, LAST_CONTACT, item).outcome == one(out, LAST_CONTACT, uid("acme")).outcome == "reached"
        promise = one(out, PROMISE, uid("pt"))
        assert (promise.status, promise.reason, promise.promised_on) == ("broken", "not_paid", date(2025, 3, 18))
        assert one(out, DISPUTE, uid("dt")).status == "resolved"
        assert one(out, STEP, item).step == 1
        placement = one(out, PLACEMENT, uid("at"))
        assert (placement.status, placement.recovered_minor, placement.net_minor) == ("placed", 100, 70)
        assert [row.amount_minor for row in out.rows(PLACEMENT_ITEM)] == [100]
        assert [row.gross_minor for row in out.rows(RECOVERY)] == [100]

    def test_the_newest_attempt_is_the_last_contact_whichever_came_first(self, books: Books) -> None:
        for name, on in (("new", MAR), ("old", JAN)):
            fact = AttemptLogged(
                branch="B1",
                effective_on=on,
                account_id=uid("acme"),
                attempt_id=uid(name),
                channel="call",
                outcome="no_answer",
            )
            books.say(f"attempt-{uid(name)}", fact)
        assert one(fold(books.log), LAST_CONTACT, uid("acme")).attempt_id == uid("new")
        assert one(fold(books.log[::-1]), LAST_CONTACT, uid("acme")).attempt_id == uid("new")

    def test_a_hold_that_is_placed_again_is_active(self, books: Books) -> None:
        placed = HoldPlaced(branch="B1", effective_on=JAN, account_id=uid("acme"), reason="nsf")
        released = HoldReleased(branch="B1", effective_on=FEB, account_id=uid("acme"), released_by="bob")
        for fact in (placed, released):
            books.say(f"hold-{uid('acme')}", fact)
        assert one(fold(books.log), HOLD, uid("acme")).active is False
        books.say(f"hold-{uid('acme')}", placed)
        assert one(fold(books.log), HOLD, uid("acme")).active is True

    def test_a_follow_up_names_its_items(self, books: Books) -> None:
        fact = FollowUpScheduled(
            branch="B1",
            effective_on=JAN,
            follow_up_id=uid("f"),
            account_id=uid("acme"),
            item_ids=(uid("1"), uid("2")),
            due_on=FEB,
        )
        books.say(f"follow-up-{uid('f')}", fact)
        assert one(fold(books.log), FOLLOW_UP, uid("f")).item_ids == f"{{{uid('1')},{uid('2')}}}"


class TestBalances:
    def test_each_anchor_has_its_own_day_of_eight(self, books: Books) -> None:
        # Given an invoice of the last day of its eight, due on the first of the next.
        issued_on = date.fromordinal(8 * 92_400)
        due_on = issued_on + timedelta(days=1)
        books.issue("1", "B1", "acme", 100_00, issued_on, retainage=10_00, due_on=due_on)
        # When its balances are added up
        out = fold(books.log)
        add_up(out)
        # Then it stands in the last column of one row, and in the first of the next.
        invoiced = one(out, BALANCE, "B1", issued_on - timedelta(days=7), "open", "USD", "invoice")
        due = one(out, BALANCE, "B1", due_on, "open", "USD", "due")
        assert (invoiced.minor_7, due.minor_0) == (90_00, 90_00)
        assert one(out, BALANCE, "B1", due_on, "retainage", "USD", "due").minor_0 == 10_00
        assert out.since == {"B1": issued_on}

    def test_what_came_and_went_within_the_batch_moves_none(self, books: Books) -> None:
        item = books.issue("1", "B1", "acme", 100_00, JAN)
        receipt = books.receive("r", "B1", "acme", 100_00, FEB)
        books.apply(receipt, {item: 100_00}, MAR)
        out = fold(books.log)
        add_up(out)
        assert out.rows(BALANCE) == []
        assert out.since == {"B1": JAN}


def test_a_fact_that_moves_receivables_adds_a_row_that_can_be_added_once(books: Books) -> None:
    """Movements have no key: a fact that is folded twice is refused by the key of what else it adds."""
    item = books.issue("1", "B1", "acme", 100_00, JAN, retainage=10_00)
    books.release("rel", item, 4_00, FEB)
    books.credit("c", item, 1_00, FEB)
    books.write_off(item, 5_00, MAR)
    stray = books.receive("r", "B1", None, 50_00, FEB)
    books.identify(stray, "acme", FEB)
    books.apply(stray, {item: 20_00}, FEB)
    books.unapply(stray, {item: 20_00}, MAR)
    books.refund("f", stray, 10_00, MAR)
    books.reverse(books.receive("r2", "B1", None, 7_00, FEB), MAR)
    books.void(books.issue("2", "B1", "acme", 8_00, JAN), MAR)
    moving = [known for known in books.log if fold([known]).rows(MOVEMENT)]
    assert {type(known.fact) for known in moving} == set(MOVEMENTS.folds)
    for known in moving:
        out = fold([known])
        assert [*out.rows(TIMELINE), *out.rows(CASH_MOVEMENT)], known.envelope.type


def test_no_kind_of_fact_is_forgotten() -> None:
    assert {known.name for known in REGISTRY.all() if known.wire in IGNORED} == NOT_FOLDED


def test_a_table_belongs_to_one_model() -> None:
    names = [table.name for model in MODELS for table in model.tables]
    assert len(set(names)) == len(names)


def test_folding_a_batch_is_folding_its_parts(books: Books) -> None:
    books.branch("B1")
    item = books.issue("1", "B1", "acme", 30_00, JAN)
    books.credit("c", item, 1_00, FEB)
    whole, parts = fold(books.log), [fold(books.log[:2]), fold(books.log[2:])]
    assert one(whole, BRANCH, "B1").name == "Branch B1"
    assert one(whole, OPEN_ITEM, item).open_minor == sum(
        row.open_minor for part in parts for row in part.rows(OPEN_ITEM)
    )
    assert [r.line for p in parts for r in p.rows(MOVEMENT)] == [r.line for r in whole.rows(MOVEMENT)]
