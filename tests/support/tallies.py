"""The tallies of `tally.py` as a running HTTP application on a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, FastAPI, Path, Response
from pydantic import BaseModel, Field

from services.kernel.bulk import BulkKind, bulk_router
from services.kernel.http import Caller, CommandAnswer, allow, answer, caller_of, create_app, meta_of, store_of
from services.kernel.meta import Meta
from services.kernel.settings import Settings
from services.kernel.store import Store
from services.kernel.together import carry_out
from tests.support.tally import TALLIES, Mark, MarkRow, mark_of
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

ROLES = {
    "admin": frozenset({"mark.write", "import.run", "log.read", "report.read"}),
    "reader": frozenset({"report.read"}),
}
NAME = "^[A-Za-z0-9-]{1,40}$"
MARKS = BulkKind(name="marks", row=MarkRow, command_of=mark_of, domain=TALLIES, batch_max=10)


class MarkBody(BaseModel):
    """A mark to make."""

    mark: str = Field(max_length=50, examples=["first"])
    branch: str = Field(default="B010", pattern="^[A-Z0-9][A-Z0-9-]{0,15}$")
    after: str | None = Field(default=None, pattern=NAME)
    limit: int = Field(default=100, ge=0, le=1000)


def tally_router() -> APIRouter:
    router = APIRouter()

    @router.post("/tallies/{tally}/marks", status_code=201, dependencies=[allow("mark.write")])
    async def mark(
        tally: Annotated[str, Path(pattern=NAME)],
        body: MarkBody,
        meta: Annotated[Meta, Depends(meta_of)],
        store: Annotated[Store, Depends(store_of)],
        response: Response,
    ) -> CommandAnswer:
        """Make a mark."""
        command = Mark(tally=tally, mark=body.mark, branch=body.branch, after=body.after, limit=body.limit)
        return answer(response, await carry_out(store, meta, TALLIES, command), tally=tally)

    @router.get("/who", dependencies=[allow("report.read")])
    async def who(caller: Annotated[Caller, Depends(caller_of)]) -> dict[str, Any]:
        """Who asks."""
        return {"sub": caller.sub, "branches": caller.branches.setting}

    @router.get("/broken", dependencies=[allow("report.read")], include_in_schema=False)
    async def broken() -> None:
        raise RuntimeError("a secret 4711")

    return router


def settings_for(url: str, issuer: Issuer, **more: Any) -> Settings:
    return Settings(
        service="tally",
        postgres=url,
        database=url,
        kafka="127.0.0.1:1",
        jwks=str(issuer.path),
        issuer=ISSUER,
        audience=AUDIENCE,
        **more,
    )


def tally_app(url: str, issuer: Issuer, *, kind: BulkKind[Any, Any] = MARKS, **more: Any) -> FastAPI:
    settings = settings_for(url, issuer, **more)
    return create_app(settings, title="Tallies", routers=[tally_router(), bulk_router([kind])], roles=ROLES)


def limited(limit: int) -> BulkKind[Any, Any]:
    """An import whose tallies hold so many marks."""
    return replace(MARKS, command_of=lambda row, actor: replace(mark_of(row, actor), limit=limit))


@asynccontextmanager
async def running(app: FastAPI, headers: dict[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application while it runs, within this process."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://tally.test", headers=headers) as client:
            yield client
