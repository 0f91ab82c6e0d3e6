"""The open item: one line that ages by itself. An invoice is one; each released part of its retainage is another."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import msgspec

from events.envelope import Branch


class Item(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The dimensions of an open item, repeated in every fact that changes its balance.

    A report can therefore place a change in its bucket before it has seen the invoice: facts of two topics arrive in
    any order. For the invoice itself `item_id == invoice_id`.
    """

    item_id: UUID
    invoice_id: UUID
    branch: Branch
    account_id: UUID
    job_id: UUID | None = None
    issued_on: date
    due_on: date
