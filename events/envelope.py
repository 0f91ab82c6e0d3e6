"""What surrounds a fact: who said it, when we learned it, where it stands in its stream and in its service's log."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec

Branch = Annotated[
    str,
    msgspec.Meta(pattern="^[A-Z0-9][A-Z0-9-]{0,15}$", description="Branch code, as the ERP writes it."),
]


class Fact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The base of every published fact. Flat where it can be, and never changed once published.

    `branch` decides who may see it. `effective_on` is when it is true in the business (invoice date, deposit date);
    when we learned it is `Origin.recorded_at`.
    """

    branch: Branch
    effective_on: date


class Origin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who recorded a fact, when, and where it stands: what is made of facts needs no more of what surrounds them.

    `stream_version` counts 1, 2, 3 within the stream; `seq` counts the facts of the whole service without holes, so a
    subscriber can prove that he missed nothing.
    """

    stream: str  # invoice-<uuid>
    stream_version: int
    seq: int
    recorded_at: datetime
    actor: str


class Envelope(Origin, frozen=True, kw_only=True, gc=False):
    """The CloudEvents attributes of one recorded fact."""

    event_id: UUID
    type: str  # openitem.invoice.issued.v1
    source: str  # /openitem/invoice
    branch: str
    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None
