"""What every route here asks of its request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from services.kernel.http import Caller, caller_of, meta_of, store_of
from services.kernel.meta import Meta
from services.kernel.store import Store

MetaOf = Annotated[Meta, Depends(meta_of)]
StoreOf = Annotated[Store, Depends(store_of)]
CallerOf = Annotated[Caller, Depends(caller_of)]
