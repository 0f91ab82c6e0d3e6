"""No run of commands, however mixed, loses or makes money: laws that hold after every step of a random history."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import accumulate
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from events.codec import decode, encode, wire_of
from events.envelope import Fact
from events.item import Item
from events.money import Money
from events.payment import (
    ItemChanged,
    ItemOpened,
    PaymentApplied,
    PaymentReceived,
    PaymentRefunded,
    PaymentReversed,
    PaymentUnapplied,
)
from services.kernel.errors import Refused
from services.payment.domain import DOMAIN
from services.payment.domain.commands import (
    ApplyReceipt,
    Command,
    CreditItem,
    IdentifyReceipt,
    ImportReceipt,
    Line,
    OpenItem,
    RecordReceipt,
    RefundReceipt,
    ReverseReceipt,
    ReverseWriteOff,
    UnapplyReceipt,
    UndoLine,
    VoidItem,
    WriteOffItem,
)
from services.payment.domain.state import ABSENT, MirroredItem, Receipt, State, item_stream, receipt_stream

DAY = date(2025, 1, 1)
ACCOUNT, STRANGER = UUID(int=1), UUID(int=2)
RECEIPTS = [UUID(int=0x100 + n) for n in range(3)]
ITEMS = [UUID(int=0x200 + n) for n in range(4)]
CAUSES = [UUID(int=0x300 + n) for n in range(3)]
# Few ids and small amounts, so that commands meet often and limits are hit exactly.
receipt_ids, item_ids, causes = st.sampled_from(RECEIPTS), st.sampled_from(ITEMS), st.sampled_from(CAUSES)
amounts = st.integers(-1, 120).map(lambda minor: Money(minor, "USD"))
# Receipts and invoices on the first days, what befalls them on any.
early = st.integers(0, 5).map(lambda n: DAY + timedelta(days=n))
days = st.integers(0, 20).map(lambda n: DAY + timedelta(days=n))
lines = st.lists(st.builds(Line, item_ids, amounts), min_size=1, max_size=4).map(tuple)
accounts = st.sampled_from([ACCOUNT, ACCOUNT, ACCOUNT, STRANGER, None])


def records(receipt_id: UUID) -> st.SearchStrategy[RecordReceipt]:
    return st.builds(
        RecordReceipt,
        receipt_id=st.just(receipt_id),
        branch=st.just("CHI"),
        account_id=accounts,
        method=st.just("check"),
        amount=amounts,
        received_on=early,
    )


class Books(RuleBasedStateMachine):
    """The domain, asked at random, against books that add up what its facts say."""

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, State] = {}
        self.log: list[tuple[str, Fact]] = []
        self.of_receipt: dict[UUID, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.of_item: dict[UUID, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def ask(self, command: Command, *, repeatable: bool = True) -> None:
        """Carry a command out where it is not refused; asked again, it must then find all on record."""
        try:
            facts = self.decide(command)
        except Refused:
            return
        for stream, fact in facts:
            self.states[stream] = DOMAIN.evolve(self.states[stream], fact)
            self.log.append((stream, fact))
            self.enter(fact)
        if repeatable:
            assert self.decide(command) == []

    def decide(self, command: Command) -> list[tuple[str, Fact]]:
        seen: dict[str, State] = {}
        while missing := [name for name in DOMAIN.needs(command, seen) if name not in seen]:
            seen.update((name, self.states.setdefault(name, ABSENT)) for name in missing)
        return [(stream, fact) for stream, facts in DOMAIN.decide(command, seen).items() for fact in facts]

    def enter(self, fact: Fact) -> None:
        """Add a fact up. Knows nothing of the domain's state."""
        match fact:
            case PaymentReceived():
                self.of_receipt[fact.receipt_id]["received"] += fact.amount.minor
            case PaymentApplied():
                self.of_receipt[fact.receipt_id]["applied"] += fact.applied.minor
                assert fact.applied.minor == sum(line.amount.minor for line in fact.lines)
            case PaymentUnapplied():
                self.of_receipt[fact.receipt_id]["applied"] -= fact.returned.minor
                assert fact.returned.minor == sum(line.amount.minor for line in fact.lines)
            case PaymentReversed():
                self.of_receipt[fact.receipt_id]["reversed"] += fact.amount.minor
            case PaymentRefunded():
                self.of_receipt[fact.receipt_id]["refunded"] += fact.amount.minor
            case ItemOpened():
                self.of_item[fact.item.item_id]["open"] += fact.original.minor
            case ItemChanged():
                books = self.of_item[fact.item.item_id]
                books["open"] += fact.change.minor
                books[fact.cause] += fact.change.minor
                assert fact.open.minor == books["open"]

    @initialize(
        received=st.lists(st.integers(60, 300), min_size=2, max_size=3),
        billed=st.lists(st.integers(20, 120), min_size=2, max_size=4),
    )
    def begin(self, received: list[int], billed: list[int]) -> None:
        """Some of everything: a history that begins with nothing seldom comes to the limits."""
        for receipt_id, minor in zip(RECEIPTS, received, strict=False):
            self.ask(
                RecordReceipt(
                    receipt_id=receipt_id,
                    branch="CHI",
                    account_id=ACCOUNT,
                    method="wire",
                    amount=Money(minor, "USD"),
                    received_on=DAY,
                )
            )
        for item_id, minor in zip(ITEMS, billed, strict=False):
            self.open_item(item_id, minor, DAY, ACCOUNT)

    @rule(command=receipt_ids.flatmap(records))
    def record(self, command: RecordReceipt) -> None:
        self.ask(command)

    @rule(receipt=receipt_ids, account=st.sampled_from([ACCOUNT, STRANGER]))
    def identify(self, receipt: UUID, account: UUID) -> None:
        self.ask(IdentifyReceipt(receipt_id=receipt, account_id=account))

    @rule(receipt=receipt_ids, lines=lines, on=st.none() | days)
    def apply(self, receipt: UUID, lines: tuple[Line, ...], on: date | None) -> None:
        self.ask(ApplyReceipt(receipt_id=receipt, lines=lines, on=on), repeatable=False)

    @rule(receipt=receipt_ids, items=st.sets(item_ids, min_size=1, max_size=4), on=st.none() | days)
    def apply_all_that_fits(self, receipt: UUID, items: set[UUID], on: date | None) -> None:
        """As a person would: so much as is left, on so much as is open."""
        known = self.states.get(receipt_stream(receipt))
        left = known.unapplied if isinstance(known, Receipt) else 0
        fitting: list[Line] = []
        for item_id in sorted(items):
            owed = self.states.get(item_stream(item_id))
            minor = min(left, owed.open) if isinstance(owed, MirroredItem) else 0
            if minor:
                left -= minor
                fitting.append(Line(item_id, Money(minor, "USD")))
        self.ask(ApplyReceipt(receipt_id=receipt, lines=tuple(fitting), on=on), repeatable=False)

    @rule(receipt=receipt_ids, items=st.lists(item_ids, min_size=1, max_size=4), share=st.sampled_from([1, 2, 3]))
    def apply_without_looking(self, receipt: UUID, items: list[UUID], share: int) -> None:
        """All or a part of what is open, whatever is left of the receipt, and perhaps one item twice."""
        owed = [state for item_id in items if isinstance(state := self.states.get(item_stream(item_id)), MirroredItem)]
        lines = tuple(Line(state.item.item_id, Money(state.open // share, "USD")) for state in owed)
        self.ask(ApplyReceipt(receipt_id=receipt, lines=lines), repeatable=False)

    @rule(receipt=receipt_ids, share=st.sampled_from([1, 2, 3]), on=st.none() | days)
    def unapply_a_part(self, receipt: UUID, share: int, on: date | None) -> None:
        known = self.states.get(receipt_stream(receipt))
        if isinstance(known, Receipt):
            undone = (
                UndoLine(key, Money(-(-part.now // share), "USD")) for key, part in known.shares.items() if part.now
            )
            self.ask(UnapplyReceipt(receipt_id=receipt, lines=tuple(undone), on=on), repeatable=False)

    @rule(
        receipt=receipt_ids,
        undone=st.lists(st.builds(UndoLine, item_ids, st.none() | amounts), max_size=3),
        on=st.none() | days,
    )
    def unapply(self, receipt: UUID, undone: Sequence[UndoLine], on: date | None) -> None:
        self.ask(UnapplyReceipt(receipt_id=receipt, lines=tuple(undone), on=on), repeatable=False)

    @rule(receipt=receipt_ids, on=days)
    def reverse(self, receipt: UUID, on: date) -> None:
        self.ask(ReverseReceipt(receipt_id=receipt, reason="nsf", on=on))

    @rule(receipt=receipt_ids, refund=causes, amount=amounts, on=days)
    def refund(self, receipt: UUID, refund: UUID, amount: Money, on: date) -> None:
        self.ask(RefundReceipt(receipt_id=receipt, refund_id=refund, amount=amount, on=on))

    @rule(
        receipt=receipt_ids.flatmap(records), line=st.none() | st.builds(Line, item_ids, amounts), on=st.none() | days
    )
    def import_row(self, receipt: RecordReceipt, line: Line | None, on: date | None) -> None:
        self.ask(ImportReceipt(receipt=receipt, line=line, on=on))

    @rule(receipt=receipt_ids, item_id=item_ids, minor=st.integers(1, 40), on=st.none() | days)
    def import_row_of_a_known_receipt(self, receipt: UUID, item_id: UUID, minor: int, on: date | None) -> None:
        known = self.states.get(receipt_stream(receipt))
        if isinstance(known, Receipt):
            same = RecordReceipt(
                receipt_id=receipt,
                branch=known.branch,
                account_id=known.recorded_account_id,
                method=known.method,
                reference=known.reference,
                amount=Money(known.amount, "USD"),
                received_on=known.received_on,
            )
            self.ask(ImportReceipt(receipt=same, line=Line(item_id, Money(minor, "USD")), on=on))

    @rule(item_id=item_ids, original=st.integers(0, 120), on=early, account=st.sampled_from([ACCOUNT] * 4 + [STRANGER]))
    def open_item(self, item_id: UUID, original: int, on: date, account: UUID) -> None:
        item = Item(item_id=item_id, invoice_id=item_id, branch="CHI", account_id=account, issued_on=on, due_on=on)
        self.ask(OpenItem(item=item, number="1", original=Money(original, "USD"), on=on))

    @rule(item_id=item_ids, note=causes, minor=st.integers(1, 120), on=days)
    def credit(self, item_id: UUID, note: UUID, minor: int, on: date) -> None:
        self.ask(CreditItem(item_id=item_id, credit_note_id=note, amount=Money(minor, "USD"), on=on))

    @rule(item_id=item_ids, on=days)
    def void(self, item_id: UUID, on: date) -> None:
        self.ask(VoidItem(item_id=item_id, invoice_id=item_id, on=on))

    @rule(item_id=item_ids, off=causes, minor=st.integers(1, 120), on=days)
    def write_off(self, item_id: UUID, off: UUID, minor: int, on: date) -> None:
        self.ask(WriteOffItem(item_id=item_id, write_off_id=off, amount=Money(minor, "USD"), on=on))

    @rule(item_id=item_ids, off=causes, on=days)
    def reverse_write_off(self, item_id: UUID, off: UUID, on: date) -> None:
        self.ask(ReverseWriteOff(item_id=item_id, write_off_id=off, on=on))

    @invariant()
    def what_was_received_is_applied_unapplied_reversed_or_refunded(self) -> None:
        for receipt in self.all(Receipt):
            books = self.of_receipt[receipt.receipt_id]
            assert books["received"] == receipt.amount
            assert books["applied"] == receipt.applied >= 0
            assert books["reversed"] == receipt.reversed
            assert books["refunded"] == receipt.refunded
            assert receipt.unapplied >= 0
            assert receipt.amount == receipt.applied + receipt.unapplied + receipt.reversed + receipt.refunded

    @invariant()
    def what_is_open_is_what_was_billed_less_what_befell_it(self) -> None:
        for item in self.all(MirroredItem):
            books = self.of_item[item.item.item_id]
            assert 0 <= item.open <= item.original
            assert item.open == books["open"]
            assert item.open == (item.original - item.credited - (item.voided or 0) - item.written_off - item.applied)
            assert item.written_off == -books["written_off"] - books["write_off_reversed"] >= 0
            assert all(minor >= 0 for minor in (*item.receipts.values(), *item.write_offs.values()))

    @invariant()
    def a_void_item_is_settled_by_nothing(self) -> None:
        assert all(
            item.open == item.applied == item.written_off == 0
            for item in self.all(MirroredItem)
            if item.voided is not None
        )

    @invariant()
    def receipts_and_items_say_the_same_of_each_other(self) -> None:
        by_receipts = {
            (receipt.receipt_id, item_id): share.now
            for receipt in self.all(Receipt)
            for item_id, share in receipt.shares.items()
            if share.now
        }
        by_items = {
            (receipt_id, item.item.item_id): minor
            for item in self.all(MirroredItem)
            for receipt_id, minor in item.receipts.items()
        }
        assert by_receipts == by_items

    @invariant()
    def no_fact_is_true_before_its_receipt_or_its_item(self) -> None:
        for stream, fact in self.log:
            state = self.states[stream]
            if isinstance(state, Receipt):
                assert fact.effective_on >= state.received_on
            if isinstance(fact, ItemChanged) and fact.cause in ("applied", "unapplied"):
                assert fact.effective_on >= fact.item.issued_on

    @invariant()
    def nothing_is_undone_before_it_was_applied(self) -> None:
        """As of any day, a receipt has settled nothing of an item or something, never less than nothing."""
        moved: dict[tuple[UUID, UUID], dict[date, int]] = defaultdict(lambda: defaultdict(int))
        for _, fact in self.log:
            if isinstance(fact, PaymentApplied | PaymentUnapplied):
                sign = 1 if isinstance(fact, PaymentApplied) else -1
                for line in fact.lines:
                    moved[fact.receipt_id, line.item.item_id][fact.effective_on] += sign * line.amount.minor
        for days_ in moved.values():
            assert min(accumulate(days_[day] for day in sorted(days_))) >= 0

    def teardown(self) -> None:
        """Replayed from the wire, the log gives the states that the live run had."""
        replayed: dict[str, State] = {}
        for stream, fact in self.log:
            replayed[stream] = DOMAIN.evolve(replayed.get(stream, ABSENT), decode(wire_of(fact), encode(fact)))
        assert replayed == {name: state for name, state in self.states.items() if state != ABSENT}

    def all(self, kind: type) -> list:  # type: ignore[type-arg]
        return [state for state in self.states.values() if isinstance(state, kind)]


Books.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestBooks = Books.TestCase
