"""Reading an open item: the balance that decisions are held against. Nobody commands items over HTTP."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel

from events.money import Money
from services.kernel.errors import Unknown
from services.kernel.http import allow, wait_of
from services.kernel.route import CallerOf, StoreOf
from services.payment.domain.state import MirroredItem, item_stream
from services.payment.handlers import look

router = APIRouter(prefix="/items", tags=["items"])


class SettledBy(BaseModel):
    """What a receipt settles of the item now."""

    receipt_id: UUID
    amount: str


class ItemAnswer(BaseModel):
    """An item as it stands. `open = original - applied - credited - written_off - voided`."""

    item_id: UUID
    invoice_id: UUID
    number: str
    branch: str
    account_id: UUID
    job_id: UUID | None
    issued_on: date
    due_on: date
    currency: str
    original: str
    open: str
    applied: str
    credited: str
    written_off: str
    voided: str
    applications: list[SettledBy]


@router.get("/{item_id}", dependencies=[allow("report.read")])
async def read_item(
    item_id: UUID,
    store: StoreOf,
    caller: CallerOf,
    response: Response,
    prefer: Annotated[str | None, Header(description="`wait=5`: wait so many seconds for it to arrive.")] = None,
) -> ItemAnswer:
    """The item as the payment service knows it now."""
    loaded = await look(store, caller.branches, item_stream(item_id), wait_s=wait_of(prefer))
    state = loaded.state
    if not isinstance(state, MirroredItem):
        raise Unknown("no such item")
    response.headers["ETag"] = f'"{loaded.version}"'
    item, currency = state.item, state.currency
    return ItemAnswer(
        item_id=item.item_id,
        invoice_id=item.invoice_id,
        number=state.number,
        branch=item.branch,
        account_id=item.account_id,
        job_id=item.job_id,
        issued_on=item.issued_on,
        due_on=item.due_on,
        currency=currency,
        original=str(Money(state.original, currency)),
        open=str(Money(state.open, currency)),
        applied=str(Money(state.applied, currency)),
        credited=str(Money(state.credited, currency)),
        written_off=str(Money(state.written_off, currency)),
        voided=str(Money(state.voided or 0, currency)),
        applications=[
            SettledBy(receipt_id=receipt_id, amount=str(Money(minor, currency)))
            for receipt_id, minor in state.receipts.items()
        ],
    )
