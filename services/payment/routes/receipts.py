"""Commands on receipts, and reading one."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel

from events.money import Money
from services.kernel.errors import Unknown
from services.kernel.http import CommandAnswer, allow, answer
from services.kernel.rim import money
from services.kernel.route import CallerOf, MetaOf, StoreOf, made_id
from services.payment.domain.commands import (
    ApplyReceipt,
    IdentifyReceipt,
    Line,
    RecordReceipt,
    RefundReceipt,
    ReverseReceipt,
    UnapplyReceipt,
    UndoLine,
)
from services.payment.domain.state import Receipt, receipt_stream
from services.payment.handlers import handle, look
from services.payment.routes.bodies import (
    ApplicationBody,
    IdentificationBody,
    ReceiptBody,
    RefundBody,
    ReversalBody,
    UnapplicationBody,
)

router = APIRouter(prefix="/receipts", tags=["receipts"])


class ShareAnswer(BaseModel):
    """What the receipt settles of one item now."""

    item_id: UUID
    amount: str


class ReceiptAnswer(BaseModel):
    """A receipt as it stands. `amount = applied + unapplied + reversed + refunded`."""

    receipt_id: UUID
    branch: str
    account_id: UUID | None
    method: str
    reference: str | None
    received_on: date
    currency: str
    amount: str
    applied: str
    unapplied: str
    reversed: str
    refunded: str
    reversed_on: date | None
    applications: list[ShareAnswer]


@router.post("", status_code=201, dependencies=[allow("receipt.record")])
async def record_receipt(body: ReceiptBody, meta: MetaOf, store: StoreOf, response: Response) -> CommandAnswer:
    """Record that money came in."""
    receipt_id = made_id(meta, body.receipt_id)
    command = RecordReceipt(
        receipt_id=receipt_id,
        branch=body.branch,
        account_id=body.account_id,
        method=body.method,
        reference=body.reference,
        amount=money(body.amount, body.currency),
        received_on=body.received_on,
    )
    return answer(response, await handle(store, meta, command), receipt_id=receipt_id)


@router.post("/{receipt_id}/identification", dependencies=[allow("receipt.apply")])
async def identify_receipt(
    receipt_id: UUID, body: IdentificationBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Say who paid an unidentified receipt."""
    command = IdentifyReceipt(receipt_id=receipt_id, account_id=body.account_id, on=body.identified_on)
    return answer(response, await handle(store, meta, command), receipt_id=receipt_id)


@router.post("/{receipt_id}/applications", dependencies=[allow("receipt.apply")])
async def apply_receipt(
    receipt_id: UUID, body: ApplicationBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Settle items with the receipt. With `Prefer: wait=N` it waits for items that are just about to arrive."""
    lines = tuple(Line(line.item_id, money(line.amount, body.currency, "lines")) for line in body.lines)
    command = ApplyReceipt(receipt_id=receipt_id, lines=lines, on=body.applied_on)
    return answer(response, await handle(store, meta, command), receipt_id=receipt_id)


@router.post("/{receipt_id}/unapplications", dependencies=[allow("receipt.apply")])
async def unapply_receipt(
    receipt_id: UUID, body: UnapplicationBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Correct an application: the money is unapplied again, and the items are open."""
    lines = tuple(
        UndoLine(line.item_id, None if line.amount is None else money(line.amount, body.currency, "lines"))
        for line in body.lines
    )
    command = UnapplyReceipt(receipt_id=receipt_id, lines=lines, on=body.unapplied_on)
    return answer(response, await handle(store, meta, command), receipt_id=receipt_id)


@router.post("/{receipt_id}/reversal", dependencies=[allow("receipt.reverse")])
async def reverse_receipt(
    receipt_id: UUID, body: ReversalBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Record that the bank took the money back. What it had settled is open again."""
    command = ReverseReceipt(receipt_id=receipt_id, reason=body.reason, on=body.reversed_on)
    return answer(response, await handle(store, meta, command), receipt_id=receipt_id)


@router.post("/{receipt_id}/refunds", status_code=201, dependencies=[allow("receipt.refund")])
async def refund_receipt(
    receipt_id: UUID, body: RefundBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Pay unapplied money back to the customer."""
    refund_id = made_id(meta, body.refund_id)
    command = RefundReceipt(
        receipt_id=receipt_id, refund_id=refund_id, amount=money(body.amount, body.currency), on=body.refunded_on
    )
    return answer(response, await handle(store, meta, command), receipt_id=receipt_id, refund_id=refund_id)


@router.get("/{receipt_id}", dependencies=[allow("report.read")])
async def read_receipt(receipt_id: UUID, store: StoreOf, caller: CallerOf, response: Response) -> ReceiptAnswer:
    """The receipt as it stands now."""
    loaded = await look(store, caller.branches, receipt_stream(receipt_id))
    receipt = loaded.state
    if not isinstance(receipt, Receipt):
        raise Unknown("no such receipt")
    response.headers["ETag"] = f'"{loaded.version}"'
    currency = receipt.currency
    return ReceiptAnswer(
        receipt_id=receipt_id,
        branch=receipt.branch,
        account_id=receipt.account_id,
        method=receipt.method,
        reference=receipt.reference,
        received_on=receipt.received_on,
        currency=currency,
        amount=str(Money(receipt.amount, currency)),
        applied=str(Money(receipt.applied, currency)),
        unapplied=str(Money(receipt.unapplied, currency)),
        reversed=str(Money(receipt.reversed, currency)),
        refunded=str(Money(receipt.refunded, currency)),
        reversed_on=receipt.reversal.on if receipt.reversal else None,
        applications=[
            ShareAnswer(item_id=item_id, amount=str(Money(share.now, currency)))
            for item_id, share in receipt.shares.items()
            if share.now
        ],
    )
