"""Laws of promises, for any run of payments, corrections, reversals and days."""

from datetime import date, timedelta
from uuid import UUID

from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from events.contact import PromiseBroken, PromiseCancelled, PromiseKept, PromiseMade, PromisePaid
from events.envelope import Fact
from services.contact.domain import Command
from services.contact.domain.counting import CountPayment, TakeBackReceipt, UncountPayment
from services.contact.domain.promise import BreakOverdue, due_on
from services.kernel.errors import Refused
from tests.unit.contact.build import MADE_ON, NEWER, PROMISE, A, B, given, promise, usd

PROMISES = (PROMISE, NEWER)
days = st.integers(0, 25).map(lambda n: MADE_ON + timedelta(days=n))
receipts = st.integers(70, 73).map(lambda n: UUID(int=n))
items = st.sampled_from([A, B])
amounts = st.integers(1, 900_00).map(usd)
facts = st.integers(1000, 1012).map(lambda n: UUID(int=n))


@st.composite
def commands(draw: st.DrawFn) -> Command:
    on = draw(days)
    match draw(st.integers(0, 4)):
        case 0 | 1:
            return CountPayment(
                receipt_id=draw(receipts),
                item_id=draw(items),
                amount=draw(amounts),
                received_on=on,
                applied_on=on + timedelta(days=draw(st.integers(0, 3))),
                caused_by=draw(facts),
                promises=PROMISES,
            )
        case 2:
            return UncountPayment(
                receipt_id=draw(receipts),
                item_id=draw(items),
                amount=draw(amounts),
                unapplied_on=on,
                caused_by=draw(facts),
                promises=PROMISES,
            )
        case 3:
            return TakeBackReceipt(receipt_id=draw(receipts), reversed_on=on, caused_by=draw(facts), promises=PROMISES)
        case _:
            return BreakOverdue(promise_id=draw(st.sampled_from(PROMISES)), today=on)


@st.composite
def makings(draw: st.DrawFn) -> list[Command]:
    """Two promises that overlap in an item; whether the second takes the place of the first depends on its day."""
    percent = st.integers(1, 100)
    return [
        promise(draw(st.integers(1, 900_00)), threshold_pct=draw(percent), item_ids=(A, B)),
        promise(
            draw(st.integers(1, 900_00)),
            promise_id=NEWER,
            made_on=draw(days),
            promised_on=MADE_ON + timedelta(days=30),
            threshold_pct=draw(percent),
            beside=(PROMISE,),
        ),
    ]


def history(asked: list[Command]) -> list[tuple[Command, list[Fact]]]:
    """What each command led to, one after the other."""
    on_record: list[Fact] = []
    steps: list[tuple[Command, list[Fact]]] = []
    for command in asked:
        try:
            decided = given(*on_record).when(command).decided()
        except Refused:
            decided = []
        on_record += decided
        steps.append((command, decided))
    return steps


@settings(max_examples=120)
@forall(makings(), st.lists(commands(), max_size=14))
def test_what_is_paid_is_what_was_counted_and_no_promise_ends_twice(made: list[Command], then: list[Command]) -> None:
    steps = history([made[0], *then[:4], made[1], *then[4:]])
    for promise_id in PROMISES:
        paid, first, ends = 0, None, []
        for command, decided in steps:
            for fact in (f for f in decided if getattr(f, "promise_id", None) == promise_id):
                match fact:
                    case PromiseMade():
                        first = fact
                    case PromisePaid(change=change):
                        paid += change.minor
                        assert fact.paid.minor == paid >= 0
                        if change.minor > 0:
                            assert first is not None
                            assert isinstance(command, CountPayment)
                            assert command.received_on <= due_on(first)
                    case PromiseKept():
                        assert first is not None
                        assert paid * 100 >= first.amount.minor * first.threshold_pct
                        ends.append(fact)
                    case PromiseBroken() | PromiseCancelled():
                        ends.append(fact)
                    case _:
                        raise AssertionError(fact)
        _ends_once(ends)


def _ends_once(ends: list[Fact]) -> None:
    match ends:
        case [] | [_]:
            pass
        case [PromiseKept(), PromiseBroken(reason="payment_reversed")]:
            pass
        case _:
            raise AssertionError(ends)


@settings(max_examples=60)
@forall(makings(), st.lists(commands(), max_size=10))
def test_a_command_carried_out_twice_is_carried_out_once(made: list[Command], then: list[Command]) -> None:
    asked = [*made, *then]
    on_record: list[Fact] = []
    for command in asked:
        on_record += given(*on_record).when(command).decided()
        assert given(*on_record).when(command).decided() == []


@settings(max_examples=60)
@forall(st.lists(st.tuples(amounts, receipts, st.booleans()), max_size=8), st.data())
def test_without_corrections_the_order_of_payments_changes_nothing_about_what_is_paid(
    payments: list[tuple[object, UUID, bool]], data: st.DataObject
) -> None:
    """As long as the promise stays open: what is paid is the sum of the receipts in time."""
    huge = promise(900_00, threshold_pct=100)
    small = [
        CountPayment(
            receipt_id=receipt_id,
            item_id=A,
            amount=usd(amount.minor % 100_00 + 1),  # type: ignore[attr-defined]
            received_on=date(2026, 3, 10) if in_time else date(2026, 3, 17),
            applied_on=date(2026, 3, 17),
            caused_by=UUID(int=2000 + n),
            promises=(PROMISE,),
        )
        for n, (amount, receipt_id, in_time) in enumerate(payments)
    ]
    expected = sum(c.amount.minor for c in small if c.received_on == date(2026, 3, 10))
    steps = history([huge, *data.draw(st.permutations(small))])
    counted = sum(f.change.minor for _, decided in steps for f in decided if isinstance(f, PromisePaid))
    assert counted == expected
