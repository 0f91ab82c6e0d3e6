"""Imports: a stream of rows in, a stream of what became of them out. Each batch of rows lands in one transaction.

A row is carried out by the same rules as the command of a route. A bad one is reported and the good ones land; a second
run of the same file adds nothing, because the rules find everything on record.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, Final, Generic, TypeVar

import asyncpg
import msgspec
import structlog
from fastapi import APIRouter, Depends, Header, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from services.kernel.after import After, await_known
from services.kernel.auth import Caller, allow, caller_of
from services.kernel.batches import Batch, batches_of, one_ahead
from services.kernel.bulk_docs import ANSWERS, CSV, NDJSON, describe, request_body
from services.kernel.commands import Domain, Outcome, carry_out_many
from services.kernel.duplex import Inflow, Lines
from services.kernel.errors import Busy, Forbidden, Refused, ValueUnstorable
from services.kernel.meta import Meta
from services.kernel.request import cause_of, store_of, wait_of
from services.kernel.rows import ROW_BYTES_MAX, CsvRows, JsonRows, Reader, Rejected, Row, rows_of, typed
from services.kernel.store import Arriving, Store
from services.kernel.transient import TRANSIENT

R = TypeVar("R", bound=msgspec.Struct)
C = TypeVar("C")
ATTEMPTS_MAX: Final = 5  # Of one batch, when others write to the same streams or the database is away.
_BACKOFF_S: Final = 0.2  # Doubles with every attempt: 6 s in all, which a restart of Postgres fits in.
_READERS: Final[dict[str, Callable[[type[msgspec.Struct], int], Reader]]] = {CSV: CsvRows, NDJSON: JsonRows}
_UNSTORABLE: Final = (asyncpg.DataError, ValueUnstorable)  # A value that Postgres, or a column of ours, cannot hold.

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BulkKind(Generic[R, C]):
    """One kind of rows: `POST /imports/<name>`.

    `row`         the struct of a row; its fields are the columns. Amounts are decimal strings, beside their currency.
    `command_of`  the command of a row, given the caller's `sub`; may refuse it (`rim.money`). Ids it makes are derived
                  from the row, so that a second run makes the same ones.
    """

    name: str
    row: type[R]
    command_of: Callable[[R, str], C]
    domain: Domain[C, Any]
    batch_max: int = 1_000
    row_bytes_max: int = ROW_BYTES_MAX


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="progress"):
    """How far it is: after each batch."""

    rows: int
    landed: int
    on_record: int
    rejected: int
    facts: int


class Summary(Progress, frozen=True, kw_only=True, tag="summary"):
    """What the file came to. `landed` rows led to facts, `on_record` ones were there before."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="failed"):
    """The import ended early. Everything before `row` is done; send the file again, or from that row on."""

    row: int
    code: str
    message: str


Line = Rejected | Progress | Summary | Failed


def bulk_router(kinds: Sequence[BulkKind[Any, Any]]) -> APIRouter:
    """`POST /imports/<kind>` for each kind. Needs no Idempotency-Key: a second run adds nothing."""
    router = APIRouter(tags=["imports"])
    for kind in kinds:
        router.add_api_route(
            f"/imports/{kind.name}",
            _route(kind),
            methods=["POST"],
            name=f"import_{kind.name}".replace("-", "_"),
            summary=f"Import {kind.name}",
            description=describe(kind.row),
            dependencies=[allow("import.run")],
            response_class=Response,
            responses=ANSWERS,
            openapi_extra={"requestBody": request_body(kind.row)},
        )
    return router


def _route(kind: BulkKind[Any, Any]) -> Callable[..., Awaitable[Response]]:
    async def run(
        request: Request,
        caller: Annotated[Caller, Depends(caller_of)],
        store: Annotated[Store, Depends(store_of)],
        content_type: Annotated[str, Header(include_in_schema=False)] = "",
        prefer: Annotated[str | None, Header()] = None,
        openitem_after: After = None,
    ) -> Response:
        reader = _READERS.get(content_type.partition(";")[0].strip().lower())
        if reader is None:
            raise HTTPException(415, f"send {CSV} or {NDJSON}")
        meta = Meta(actor=caller.sub, cause=cause_of(request), branches=caller.branches, wait_s=wait_of(prefer))
        await await_known(store.pool, openitem_after, meta.wait_s)
        inflow = Inflow(aiter(request.stream()))
        lines = Import(kind, store, meta).run(rows_of(reader(kind.row, kind.row_bytes_max), inflow))
        return Lines(_encoded(lines, inflow), inflow, NDJSON)

    return run


class Import(Generic[R, C]):
    """One run of one file."""

    def __init__(self, kind: BulkKind[R, C], store: Store, meta: Meta) -> None:
        self._kind = kind
        self._store = store
        self._meta = meta
        self._wait_s = meta.wait_s  # What is left of the caller's patience, for the whole file.
        self._done = 0  # The number of the last row that is done.
        self._landed = self._on_record = self._rejected = self._facts = 0

    async def run(self, rows: AsyncIterator[Iterable[Row | Rejected]]) -> AsyncIterator[Line]:
        """What becomes of every row, in order, then the summary.

        Holds   no row is half done. After `Failed`, the rows before the one it names are done and none after it is.
        """
        failed: Failed | None = None
        try:
            async with aclosing(one_ahead(batches_of(rows, self._command, self._kind.batch_max))) as batches:
                async for batch in batches:
                    for line in await self._land(batch):
                        yield line
                    if batch.full:
                        yield Progress(**self._figures())
        except ClientDisconnect:
            log.info("import_abandoned", kind=self._kind.name, rows=self._done)
            return
        except Refused as refusal:  # The whole batch: it stayed busy, or row-level security let none of it in.
            failed = self._failed(refusal.code, refusal.message)
        except TRANSIENT as error:
            log.warning("import_failed", kind=self._kind.name, error=type(error).__name__)
            failed = self._failed("unavailable", "the database is away; send the file again")
        except Exception:
            log.exception("import_failed", kind=self._kind.name)
            failed = self._failed("internal", "it is logged under the request id")
        yield Summary(**self._figures())
        if failed is not None:
            yield failed

    def _command(self, row: Row) -> C | Rejected:
        """The row's command, or why it has none."""
        value = typed(row, self._kind.row)
        if isinstance(value, Rejected):
            return value
        try:
            if not self._meta.branches.every:
                self._check_branch(value)
            return self._kind.command_of(value, self._meta.actor)
        except Refused as refusal:
            return _rejected(row.number, refusal)

    def _check_branch(self, row: msgspec.Struct) -> None:
        """Before anything is looked up: whether it exists in a branch that is not the caller's, he is not told."""
        branch = getattr(row, "branch", None)
        if branch is not None and branch not in self._meta.branches:
            raise Forbidden("not in your branches", field="branch", branch=branch)

    async def _land(self, batch: Batch[C]) -> list[Rejected]:
        """Carry out a batch; answers the rows that did not land. Errors: Busy and the transients, after retries."""
        try:
            outcomes = await self._carry_out(batch.commands) if batch.commands else []
        except _UNSTORABLE:  # A value in one of them: only that row is bad.
            outcomes = [await self._alone(command) for command in batch.commands]
        rejected = list(batch.rejected)
        for number, outcome in zip(batch.numbers, outcomes, strict=True):
            if outcome.refused is not None:
                rejected.append(_rejected(number, outcome.refused))
            elif outcome.facts:
                self._landed += 1
                self._facts += outcome.facts
            else:
                self._on_record += 1
        self._done = batch.last or self._done
        self._rejected += len(rejected)
        return sorted(rejected, key=_number)

    async def _alone(self, command: C) -> Outcome:
        try:
            return (await self._carry_out([command]))[0]
        except _UNSTORABLE:
            return Outcome(0, ValueUnstorable("a value is out of range or not text"))

    async def _carry_out(self, commands: Sequence[C]) -> list[Outcome]:
        clock = asyncio.get_running_loop().time
        attempt = 1
        while True:
            started = clock()
            meta = msgspec.structs.replace(self._meta, wait_s=self._wait_s)
            try:
                outcomes = await carry_out_many(self._store, meta, self._kind.domain, commands)
            except _RETRIED:
                # Whether a commit whose answer was lost took place does not matter: what landed is on record.
                if attempt == ATTEMPTS_MAX:
                    raise
                await asyncio.sleep(_BACKOFF_S * 2**attempt * (0.5 + random.random() / 2))  # noqa: S311
                attempt += 1
                continue
            if any(isinstance(outcome.refused, Arriving) for outcome in outcomes):
                self._wait_s = max(0.0, self._wait_s - (clock() - started))
            return outcomes

    def _failed(self, code: str, message: str) -> Failed:
        return Failed(row=self._done + 1, code=code, message=message)

    def _figures(self) -> dict[str, int]:
        return {
            "rows": self._landed + self._on_record + self._rejected,
            "landed": self._landed,
            "on_record": self._on_record,
            "rejected": self._rejected,
            "facts": self._facts,
        }


def _rejected(number: int, refusal: Refused) -> Rejected:
    arriving = True if isinstance(refusal, Arriving) else msgspec.UNSET
    return Rejected(row=number, field=refusal.field, code=refusal.code, message=refusal.message, arriving=arriving)


async def _encoded(lines: AsyncIterator[Line], inflow: Inflow) -> AsyncIterator[bytes]:
    async for line in lines:
        if isinstance(line, Failed | Summary):
            await inflow.drain()
        yield _ENCODER.encode(line) + b"\n"


_RETRIED: Final[tuple[type[Exception], ...]] = (Busy, *TRANSIENT)
_ENCODER: Final = msgspec.json.Encoder()
_number: Final = attrgetter("row")
