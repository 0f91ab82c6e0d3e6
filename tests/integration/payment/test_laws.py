"""The check of the laws sees books that are wrong, whoever wrote them, and finds nothing in ours."""

from uuid import uuid4

import asyncpg
import pytest

from events.codec import encode, wire_of
from events.envelope import Fact
from services.kernel.delivery import Running
from services.kernel.law_metrics import LAW_BROKEN
from services.payment.laws import CONSERVED, LAWS, OPEN, TWO_SIDES, Broken, Watch
from tests.integration.payment.conftest import Desk
from tests.support.scenario import stream_of
from tests.unit.payment.build import R2, R3, A, B, R, applied, changed, item, opened, received, reversed_, share


async def forge(url: str, *facts: Fact) -> None:
    """Write facts past every rule, as a bug would. The database's owner may."""
    conn = await asyncpg.connect(url)
    try:
        for fact in facts:
            await conn.execute(
                "WITH s AS (INSERT INTO streams VALUES ($1, 1)"
                " ON CONFLICT (stream) DO UPDATE SET version = streams.version + 1 RETURNING version)"
                " INSERT INTO events (stream, stream_version, type, branch, effective_on, data, actor, correlation_id)"
                " SELECT $1, s.version, $2, $3, $4, $5::json, 'forger', 'c' FROM s",
                stream_of(fact),
                wire_of(fact),
                fact.branch,
                fact.effective_on,
                encode(fact).decode(),
            )
    finally:
        await conn.close()


async def check(desk: Desk, watch: Watch) -> list[Broken]:
    async def unused(_: object) -> None:
        raise AssertionError

    await watch.look(Running(desk.app.state.settings, desk.store, unused))
    return watch.broken


async def test_our_own_books_break_no_law(desk: Desk) -> None:
    first, second = await desk.item("100.00"), await desk.item("50.00")
    receipt = await desk.receipt("200.00")
    lines = [{"item_id": first, "amount": "100.00"}, {"item_id": second, "amount": "20.00"}]
    await desk.post(f"/receipts/{receipt}/applications", {"currency": "USD", "lines": lines})
    undone = [{"item_id": first, "amount": "10.00"}]
    await desk.post(f"/receipts/{receipt}/unapplications", {"currency": "USD", "lines": undone})
    await desk.receipt("5.00", account_id=None)
    other = await desk.receipt("70.00")
    await desk.post(
        f"/receipts/{other}/applications", {"currency": "USD", "lines": [{"item_id": first, "amount": "10.00"}]}
    )
    await desk.post(f"/receipts/{other}/reversal", {"reason": "nsf", "reversed_on": "2025-04-15"})
    refund = {"amount": "10.00", "currency": "USD", "refunded_on": "2025-05-01"}
    await desk.post(f"/receipts/{receipt}/refunds", refund)
    watch = Watch(slice_=4, overlap=2)  # Streams are cut in two by the slices.
    for _ in range(12):
        assert await check(desk, watch) == []
    assert {LAW_BROKEN.labels(law=law)._value.get() for law in LAWS} == {0}


@pytest.mark.parametrize(
    ("facts", "law", "streams"),
    [
        ([received("100"), reversed_("99")], CONSERVED, [f"receipt-{R}"]),
        ([opened(), changed("credited", "-30", "80", by=uuid4())], OPEN, [f"item-{A}"]),
        ([opened(), changed("credited", "-130", "-30", by=uuid4())], OPEN, [f"item-{A}"]),
        (
            [opened(), received("100", receipt=R2), applied(share("60", "40"), unapplied="40", receipt=R2)],
            TWO_SIDES,
            [f"item-{A}", f"receipt-{R2}"],
        ),
        (
            [opened(item(B)), received("100", receipt=R3), changed("applied", "-60", "40", by=R3, of=item(B))],
            TWO_SIDES,
            [f"item-{B}", f"receipt-{R3}"],
        ),
    ],
)
async def test_wrong_books_are_seen_and_stay_seen_until_they_are_mended(
    desk: Desk, facts: list[Fact], law: str, streams: list[str]
) -> None:
    await forge(desk.app.state.settings.database_url, *facts)
    watch = Watch(slice_=10, overlap=0)
    for _ in range(2):  # The second time there is nothing new in the log.
        assert await check(desk, watch) == [Broken(law, stream) for stream in streams]
    assert LAW_BROKEN.labels(law=law)._value.get() == len(streams)
