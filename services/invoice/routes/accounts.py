"""Open, change and read customer accounts."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import msgspec
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from events.invoice import Profile
from services.invoice.domain.account import ChangeAccount, OpenAccount
from services.invoice.domain.state import Account, account_stream
from services.invoice.handlers import handle, look
from services.invoice.rim import Name, Number, TermsDays, now
from services.kernel.http import CommandAnswer, allow, answer
from services.kernel.rim import BranchText, CurrencyText
from services.kernel.route import Body, CallerOf, MetaOf, StoreOf, made_id

router = APIRouter(prefix="/accounts", tags=["accounts"])


class AccountBody(Body):
    """`name` is a firm's trade name: leave it out for people, whose names the contact service keeps."""

    account_id: UUID | None = None
    branch: BranchText
    number: Number
    name: Name | None = None
    profile: Profile = "consumer"
    currency: CurrencyText
    terms_days: TermsDays = 30
    collector: Name | None = None
    opened_on: date | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "branch": "DAL-01",
                "number": "C00042",
                "name": "Granite Hospital Partners",
                "profile": "commercial_entity",
                "currency": "USD",
                "terms_days": 30,
                "collector": "collector.1",
            }
        }
    )


class AccountChangeBody(Body):
    """What is left out stays; null takes a name or a collector away. Number, currency and branch never change."""

    name: Name | None = None
    profile: Profile = "consumer"
    terms_days: TermsDays = 30
    collector: Name | None = None
    changed_on: date | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"terms_days": 45, "collector": "collector.2"}})


class AccountView(BaseModel):
    account_id: UUID
    branch: str
    number: str
    name: str | None
    profile: Profile
    currency: str
    terms_days: int
    collector: str | None
    opened_on: date
    version: int


@router.post("", status_code=201, dependencies=[allow("account.write")])
async def open_account(body: AccountBody, meta: MetaOf, store: StoreOf, response: Response) -> CommandAnswer:
    """Open a customer account at its home branch."""
    account_id = made_id(meta, body.account_id)
    command = OpenAccount(
        account_id=account_id,
        branch=body.branch,
        number=body.number,
        name=body.name,
        profile=body.profile,
        currency=body.currency,
        terms_days=body.terms_days,
        collector=body.collector,
        on=body.opened_on,
        now=now(),
    )
    return answer(response, await handle(store, meta, command), account_id=account_id)


@router.post("/{account_id}/changes", dependencies=[allow("account.write")])
async def change_account(
    account_id: UUID, body: AccountChangeBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Change an account's name, profile, terms or collector."""
    said = body.model_fields_set
    command = ChangeAccount(
        account_id=account_id,
        name=body.name if "name" in said else msgspec.UNSET,
        profile=body.profile if "profile" in said else msgspec.UNSET,
        terms_days=body.terms_days if "terms_days" in said else msgspec.UNSET,
        collector=body.collector if "collector" in said else msgspec.UNSET,
        on=body.changed_on,
        now=now(),
    )
    return answer(response, await handle(store, meta, command), account_id=account_id)


@router.get("/{account_id}", dependencies=[allow("report.read")])
async def read_account(account_id: UUID, caller: CallerOf, store: StoreOf, response: Response) -> AccountView:
    """An account as it is now. What is owed on it, reporting knows."""
    loaded = await look(store, caller.branches, account_stream(account_id))
    assert isinstance(loaded.state, Account), "another thing in an account's stream"
    response.headers["ETag"] = f'"{loaded.version}"'
    values = msgspec.structs.asdict(loaded.state.current)
    del values["effective_on"]
    return AccountView(**values, opened_on=loaded.state.opened.effective_on, version=loaded.version)
