"""Customer accounts: who owes, on what terms, and how strictly he must be treated.

Only a firm's trade name may stand in a fact. The name of a natural person stays in the contact service, which can
forget it.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import msgspec

from events.envelope import Fact
from events.invoice import AccountChanged, AccountOpened, Profile
from services.invoice.domain.branch import branch_of
from services.invoice.domain.claim import Holder, account_number, is_held
from services.invoice.domain.day import Dated
from services.invoice.domain.state import Absent, Account, States, account_stream, branch_stream
from services.kernel.errors import Kind, Refused


class AccountUnknown(Refused):
    """No such account is open, or the caller may not see it."""

    code = "account_not_open"
    kind: ClassVar[Kind] = Kind.UNKNOWN


class AccountDiffers(Refused):
    """The account is open with other values: change it instead."""

    code = "account_already_open"


class AccountNumberTaken(Refused):
    """Another account has that number."""

    code = "account_number_taken"


class PersonNameNotAllowed(Refused):
    """Only a commercial entity's name is kept here; people's names belong in the contact service."""

    code = "person_name_not_allowed"
    kind: ClassVar[Kind] = Kind.INVALID


class OpenAccount(Dated, frozen=True, kw_only=True):
    """`branch` is the home branch; invoices may be issued to the account in others too."""

    account_id: UUID
    branch: str
    number: str
    name: str | None = None
    profile: Profile = "consumer"
    currency: str
    terms_days: int
    collector: str | None = None
    holders: tuple[Holder, ...] = ()

    @property
    def stream(self) -> str:
        return account_stream(self.account_id)


class ChangeAccount(Dated, frozen=True, kw_only=True):
    """What is UNSET stays as it is; None takes a name or a collector away."""

    account_id: UUID
    name: str | msgspec.UnsetType | None = msgspec.UNSET
    profile: Profile | msgspec.UnsetType = msgspec.UNSET
    terms_days: int | msgspec.UnsetType = msgspec.UNSET
    collector: str | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def stream(self) -> str:
        return account_stream(self.account_id)


def open_(command: OpenAccount, states: States) -> list[Fact]:
    """Open an account.

    Errors   in this order: BranchUnknown, PersonNameNotAllowed, AccountDiffers, AccountNumberTaken.
    Holds    values the account was opened with, or has now, are on record: an import run again adds nothing.
    """
    on = command.day_at(branch_of(command.branch, states))
    _no_persons_name(command.name, command.profile)
    fact = AccountOpened(
        branch=command.branch,
        effective_on=on,
        account_id=command.account_id,
        number=command.number,
        name=command.name,
        profile=command.profile,
        currency=command.currency,
        terms_days=command.terms_days,
        collector=command.collector,
    )
    match states[command.stream]:
        case Account(opened=opened, current=current):
            if _values(fact) not in (_values(opened), _values(current)):
                raise AccountDiffers("the account is open with other values", account=current)
            return []
        case Absent():
            if is_held(account_number(command.number), command.holders, states):
                raise AccountNumberTaken(f"account number {command.number} is taken", field="number")
            return [fact]
        case _:
            raise AssertionError("no account in an account's stream")


def change(command: ChangeAccount, states: States) -> list[Fact]:
    """Change what may change of an account. Errors, in this order: AccountUnknown, PersonNameNotAllowed."""
    current = account_of(command.account_id, states).current
    on = command.day_at(branch_of(current.branch, states))
    fact = AccountChanged(
        branch=current.branch,
        effective_on=on,
        account_id=current.account_id,
        number=current.number,
        name=current.name if command.name is msgspec.UNSET else command.name,
        profile=current.profile if command.profile is msgspec.UNSET else command.profile,
        currency=current.currency,
        terms_days=current.terms_days if command.terms_days is msgspec.UNSET else command.terms_days,
        collector=current.collector if command.collector is msgspec.UNSET else command.collector,
    )
    _no_persons_name(fact.name, fact.profile)
    return [] if _values(fact) == _values(current) else [fact]


def account_of(account_id: UUID, states: States) -> Account:
    """The open account. Errors: AccountUnknown."""
    match states[account_stream(account_id)]:
        case Account() as account:
            return account
        case _:
            raise AccountUnknown("no such account is open", field="account_id", account_id=account_id)


def change_needs(command: ChangeAccount, states: States) -> list[str]:
    account = states.get(command.stream)
    return [command.stream, branch_stream(account.current.branch)] if isinstance(account, Account) else [command.stream]


def _no_persons_name(name: str | None, profile: Profile) -> None:
    if name is not None and profile != "commercial_entity":
        raise PersonNameNotAllowed(
            "leave the name out unless the profile is commercial_entity", field="name", profile=profile
        )


def _values(account: AccountOpened | AccountChanged) -> dict[str, object]:
    """What an account is, whenever it became so."""
    values = msgspec.structs.asdict(account)
    del values["effective_on"]
    return values
