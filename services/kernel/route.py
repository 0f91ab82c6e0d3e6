"""What command routes are written with: bodies, what a route asks of its request, and ids that the service makes."""

from __future__ import annotations

from typing import Annotated
from uuid import NAMESPACE_URL, UUID, uuid5

from fastapi import Depends
from pydantic import BaseModel, ConfigDict

from services.kernel.auth import Caller, caller_of
from services.kernel.meta import Meta
from services.kernel.request import meta_of, store_of
from services.kernel.store import Store

MetaOf = Annotated[Meta, Depends(meta_of)]
StoreOf = Annotated[Store, Depends(store_of)]
CallerOf = Annotated[Caller, Depends(caller_of)]


class Body(BaseModel):
    """A request body. A member that the route does not know is refused: it may be a misspelt one that matters."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def made_id(meta: Meta, given: UUID | None) -> UUID:
    """The id the client gave, or one that follows from his key: sent again, the command makes the same one."""
    return given or uuid5(NAMESPACE_URL, f"openitem:{meta.actor} {meta.key}")
