"""Disputes: open one, resolve one, read one."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from events.contact import DisputeOutcome, DisputeReason
from services.contact.domain.dispute import Dispute, OpenDispute, ResolveDispute, dispute_stream
from services.contact.handlers import handle, handle_noted, look
from services.contact.notes import note_id_of
from services.contact.rim import HappenedOn, NoteText, Owner, today
from services.kernel.errors import Unknown
from services.kernel.http import CommandAnswer, allow, answer
from services.kernel.rim import AmountText, CurrencyText, amount_text, money
from services.kernel.route import Body, CallerOf, MetaOf, StoreOf, made_id

router = APIRouter(prefix="/disputes", tags=["disputes"])


class DisputeBody(Body):
    """The customer contests `amount` of an item; the rest of it is still chased."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "item_id": "3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11",
                    "amount": "250.00",
                    "currency": "USD",
                    "reason": "PRC",
                    "opened_on": "2026-03-02",
                    "owner": "maria",
                    "note": "Labour rate of the second visit.",
                }
            ]
        }
    )

    dispute_id: UUID | None = None
    item_id: UUID
    account_id: UUID | None = Field(default=None, description="Checked against the item's, where given.")
    amount: AmountText
    currency: CurrencyText
    reason: DisputeReason
    opened_on: HappenedOn = Field(default_factory=today)
    owner: Owner | None = None
    note: NoteText | None = None


class ResolutionBody(Body):
    """How it ended. `upheld` is the part the customer was right about; needed only where it is a part."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"outcome": "partly_upheld", "upheld": "100.00", "currency": "USD", "resolved_on": "2026-03-20"}
            ]
        }
    )

    outcome: DisputeOutcome
    upheld: AmountText | None = None
    currency: CurrencyText = "USD"
    resolved_on: HappenedOn = Field(default_factory=today)


class DisputeAnswer(BaseModel):
    """A dispute as it stands."""

    dispute_id: UUID
    branch: str
    account_id: UUID
    item_id: UUID
    currency: str
    amount: str
    reason: DisputeReason
    opened_on: date
    owner: str | None
    note_id: UUID | None
    status: Literal["open", "resolved"]
    outcome: DisputeOutcome | None
    upheld: str | None
    resolved_on: date | None


@router.post("", status_code=201, dependencies=[allow("dispute.write")])
async def open_dispute(body: DisputeBody, meta: MetaOf, store: StoreOf, response: Response) -> CommandAnswer:
    """Open a dispute. All that are open on an item may contest no more than is open on it."""
    dispute_id = made_id(meta, body.dispute_id)
    note_id = note_id_of(dispute_id) if body.note else None
    command = OpenDispute(
        dispute_id=dispute_id,
        item_id=body.item_id,
        account_id=body.account_id,
        amount=money(body.amount, body.currency),
        reason=body.reason,
        opened_on=body.opened_on,
        owner=body.owner,
        note_id=note_id,
    )
    recorded = await handle_noted(store, meta, command, body.note)
    return answer(response, recorded, dispute_id=dispute_id, note_id=note_id)


@router.post("/{dispute_id}/resolution", dependencies=[allow("dispute.write")])
async def resolve_dispute(
    dispute_id: UUID, body: ResolutionBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Resolve a dispute. A credit note for what is upheld is the invoice service's."""
    command = ResolveDispute(
        dispute_id=dispute_id,
        outcome=body.outcome,
        resolved_on=body.resolved_on,
        upheld=None if body.upheld is None else money(body.upheld, body.currency, "upheld"),
    )
    return answer(response, await handle(store, meta, command), dispute_id=dispute_id)


@router.get("/{dispute_id}", dependencies=[allow("report.read")])
async def read_dispute(dispute_id: UUID, store: StoreOf, caller: CallerOf, response: Response) -> DisputeAnswer:
    """The dispute as it stands now."""
    loaded = await look(store, caller.branches, dispute_stream(dispute_id))
    if not isinstance(loaded.state, Dispute):
        raise Unknown("no such dispute")
    response.headers["ETag"] = f'"{loaded.version}"'
    opened, resolved = loaded.state.fact, loaded.state.resolved
    return DisputeAnswer(
        dispute_id=opened.dispute_id,
        branch=opened.branch,
        account_id=opened.account_id,
        item_id=opened.item_id,
        currency=opened.amount.currency,
        amount=amount_text(opened.amount),
        reason=opened.reason,
        opened_on=opened.effective_on,
        owner=opened.owner,
        note_id=opened.note_id,
        status="resolved" if resolved else "open",
        outcome=resolved.outcome if resolved else None,
        upheld=amount_text(resolved.upheld) if resolved else None,
        resolved_on=resolved.effective_on if resolved else None,
    )
