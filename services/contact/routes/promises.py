"""Promises to pay: make one, end one by hand, read one. What receipts do to them comes from the payment topic."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from events.contact import PromiseBroken, PromiseCancelled
from services.contact.domain.promise import (
    GRACE_DAYS,
    GRACE_DAYS_MAX,
    THRESHOLD_PCT,
    BreakPromise,
    CancelPromise,
    KeepPromise,
    MakePromise,
    Promise,
    Status,
    promise_stream,
)
from services.contact.handlers import handle, look
from services.contact.rim import ITEMS_MAX, HappenedOn, today
from services.kernel.errors import Unknown
from services.kernel.http import CommandAnswer, allow, answer
from services.kernel.rim import AmountText, CurrencyText, amount_text, money
from services.kernel.route import Body, CallerOf, MetaOf, StoreOf, made_id

router = APIRouter(prefix="/promises", tags=["promises"])


class PromiseBody(Body):
    """The customer promised `amount` by `promised_on` for the items named, all of one branch."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "account_id": "0b5c2c1e-53a4-4d0a-8a53-0f0f3a5f7c11",
                    "item_ids": ["3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11"],
                    "amount": "1204.50",
                    "currency": "USD",
                    "made_on": "2026-03-02",
                    "promised_on": "2026-03-13",
                }
            ]
        }
    )

    promise_id: UUID | None = None
    account_id: UUID
    item_ids: Annotated[list[UUID], Field(min_length=1, max_length=ITEMS_MAX)]
    amount: AmountText
    currency: CurrencyText
    made_on: HappenedOn = Field(default_factory=today)
    promised_on: date
    grace_days: int = Field(default=GRACE_DAYS, ge=0, le=GRACE_DAYS_MAX)
    threshold_pct: int = Field(default=THRESHOLD_PCT, ge=1, le=100, description="Kept once so much of it is paid.")
    plan_id: UUID | None = None


class KeptBody(Body):
    """Somebody knows that it was kept: the customer paid elsewhere, or by other means."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kept_on": "2026-03-12"}]})

    kept_on: HappenedOn = Field(default_factory=today)


class BrokenBody(Body):
    """Somebody knows that it will not be kept."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"broken_on": "2026-03-16"}]})

    broken_on: HappenedOn = Field(default_factory=today)


class CancellationBody(Body):
    """The promise no longer counts. One renegotiated, or whose invoice is void, is cancelled without being asked."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "withdrawn", "cancelled_on": "2026-03-04"}]})

    reason: Literal["withdrawn", "entry_error"]
    cancelled_on: HappenedOn = Field(default_factory=today)


class PromiseAnswer(BaseModel):
    """A promise as it stands. `paid` is what counts towards it; `due_on` is the last day on which a receipt counts."""

    promise_id: UUID
    branch: str
    account_id: UUID
    item_ids: list[UUID]
    currency: str
    amount: str
    paid: str
    made_on: date
    promised_on: date
    due_on: date
    threshold_pct: int
    plan_id: UUID | None
    status: Status
    ended_on: date | None
    because: str | None


@router.post("", status_code=201, dependencies=[allow("promise.write")])
async def make_promise(body: PromiseBody, meta: MetaOf, store: StoreOf, response: Response) -> CommandAnswer:
    """Put a promise on record. An earlier one over the same item, whose day has not passed, was renegotiated by it."""
    promise_id = made_id(meta, body.promise_id)
    command = MakePromise(
        promise_id=promise_id,
        account_id=body.account_id,
        item_ids=tuple(body.item_ids),
        amount=money(body.amount, body.currency),
        made_on=body.made_on,
        promised_on=body.promised_on,
        grace_days=body.grace_days,
        threshold_pct=body.threshold_pct,
        plan_id=body.plan_id,
    )
    return answer(response, await handle(store, meta, command), promise_id=promise_id)


@router.post("/{promise_id}/kept", dependencies=[allow("promise.write")])
async def keep_promise(
    promise_id: UUID, body: KeptBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Say that it was kept in time, though no receipt here shows it."""
    command = KeepPromise(promise_id=promise_id, kept_on=body.kept_on)
    return answer(response, await handle(store, meta, command), promise_id=promise_id)


@router.post("/{promise_id}/broken", dependencies=[allow("promise.write")])
async def break_promise(
    promise_id: UUID, body: BrokenBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Say that it will not be kept. One whose day and grace have passed is broken without being asked."""
    command = BreakPromise(promise_id=promise_id, broken_on=body.broken_on)
    return answer(response, await handle(store, meta, command), promise_id=promise_id)


@router.post("/{promise_id}/cancellation", dependencies=[allow("promise.write")])
async def cancel_promise(
    promise_id: UUID, body: CancellationBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Take it out of the count: neither kept nor broken."""
    command = CancelPromise(promise_id=promise_id, reason=body.reason, cancelled_on=body.cancelled_on)
    return answer(response, await handle(store, meta, command), promise_id=promise_id)


@router.get("/{promise_id}", dependencies=[allow("report.read")])
async def read_promise(promise_id: UUID, store: StoreOf, caller: CallerOf, response: Response) -> PromiseAnswer:
    """The promise as it stands now."""
    loaded = await look(store, caller.branches, promise_stream(promise_id))
    promise = loaded.state
    if not isinstance(promise, Promise):
        raise Unknown("no such promise")
    response.headers["ETag"] = f'"{loaded.version}"'
    made, ended = promise.made, promise.ended
    return PromiseAnswer(
        promise_id=made.promise_id,
        branch=made.branch,
        account_id=made.account_id,
        item_ids=list(made.item_ids),
        currency=made.amount.currency,
        amount=amount_text(made.amount),
        paid=amount_text(promise.paid),
        made_on=made.effective_on,
        promised_on=made.promised_on,
        due_on=promise.due_on,
        threshold_pct=made.threshold_pct,
        plan_id=made.plan_id,
        status=promise.status,
        ended_on=ended.effective_on if ended else None,
        because=ended.reason if isinstance(ended, PromiseBroken | PromiseCancelled) else None,
    )
