"""What all bodies have in common."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, ConfigDict

from services.kernel.auth import Caller, caller_of
from services.kernel.meta import Meta
from services.kernel.request import meta_of, store_of
from services.kernel.store import Store


class Body(BaseModel):
    """A member that no route knows is a slip, and refused: ignoring it would lose what the caller meant."""

    model_config = ConfigDict(extra="forbid", frozen=True)


MetaOf = Annotated[Meta, Depends(meta_of)]
StoreOf = Annotated[Store, Depends(store_of)]
CallerOf = Annotated[Caller, Depends(caller_of)]
