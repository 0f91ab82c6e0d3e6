"""What bodies and imported rows have in common: limits of text, ids and the present instant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from services.kernel.auth import Caller, caller_of
from services.kernel.meta import Meta
from services.kernel.request import meta_of, store_of
from services.kernel.store import Store

ITEMS_MAX: Final = 500  # Of one placement; the body's limit is far above.
_AGENCY_MAX: Final = 80
_PERSON: Final = r"^[\x21-\x7e]{1,200}$"  # As tokens name people.

Agency = Annotated[str, Field(min_length=1, max_length=_AGENCY_MAX)]
RowAgency = Annotated[str, msgspec.Meta(min_length=1, max_length=_AGENCY_MAX)]
RowPerson = Annotated[str, msgspec.Meta(pattern=_PERSON)]
MetaOf = Annotated[Meta, Depends(meta_of)]
StoreOf = Annotated[Store, Depends(store_of)]
CallerOf = Annotated[Caller, Depends(caller_of)]


class Body(BaseModel):
    """A member that no route knows is a slip, and refused: ignoring it would lose what the caller meant."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def now() -> datetime:
    return datetime.now(UTC)


def made_id(meta: Meta, given: UUID | None) -> UUID:
    """The id the client gave, or one that follows from his key: sent again, the command makes the same one."""
    return given or uuid5(NAMESPACE_URL, f"openitem:{meta.actor} {meta.key}")
