"""Numbers and ids that only one thing may have, across streams: who else holds, or in this batch may hold, the same.

A stream guards itself; that no two invoices of a branch have one number is a rule over many streams. Whoever prepares a
command looks the holders up (services/invoice/claims.py), and the domain judges.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

import msgspec

from services.invoice.domain.state import Account, Invoice, State, States

Kind = Literal["account_number", "invoice_number", "credit_note_id", "release_id"]


class Claim(msgspec.Struct, frozen=True):
    """`value` is unique among things of its `kind` within `scope`: a branch, or everywhere where it is empty."""

    kind: Kind
    scope: str
    value: str


class Holder(msgspec.Struct, frozen=True):
    """Another stream with the same claim.

    `recorded`: it holds it for good. Otherwise it is about to, by an earlier command of the same batch, unless that
    one is refused: the state of the stream tells.
    """

    claim: Claim
    stream: str
    recorded: bool


def undecided(holders: Iterable[Holder]) -> list[str]:
    """Streams that must be seen to know whether they hold what is claimed."""
    return [holder.stream for holder in holders if not holder.recorded]


def is_held(claim: Claim, holders: Iterable[Holder], states: States) -> bool:
    """Whether another stream has the claim. `holders` are those that a command was prepared with."""
    return any(
        holder.claim == claim and (holder.recorded or claim in held_by(states[holder.stream])) for holder in holders
    )


def held_by(state: State) -> list[Claim]:
    """What a stream claims in its present state."""
    match state:
        case Account(opened=opened):
            return [account_number(opened.number)]
        case Invoice(issued=issued, credits=credits_, releases=releases):
            return [
                invoice_number(issued.branch, issued.number),
                *(Claim("credit_note_id", "", str(credit.credit_note_id)) for credit in credits_),
                *(release_id(release.item.item_id) for release in releases),
            ]
        case _:
            return []


def account_number(number: str) -> Claim:
    return Claim("account_number", "", number)


def invoice_number(branch: str, number: str) -> Claim:
    return Claim("invoice_number", branch, number)


def release_id(item_id: UUID) -> Claim:
    """Of an item that is a release; an invoice's id may not be one."""
    return Claim("release_id", "", str(item_id))
