"""The table of claims: kept in step with the facts, and looked up for commands before they are decided.

Two commands at once may both find a number free. The second to append finds it taken then, and starts over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from events.envelope import Fact
from events.invoice import AccountOpened, CreditNoteIssued, InvoiceIssued, RetainageReleased
from services.invoice.domain import Command
from services.invoice.domain.account import OpenAccount
from services.invoice.domain.claim import Claim, Holder, account_number, invoice_number, release_id
from services.invoice.domain.credit_note import CreditInvoice
from services.invoice.domain.invoice import IssueInvoice
from services.invoice.domain.retainage import ReleaseRetainage
from services.invoice.domain.state import account_stream, invoice_stream
from services.kernel.store import Conn

_CLAIMING: Final = (OpenAccount, IssueInvoice, CreditInvoice, ReleaseRetainage)


async def prepare(conn: Conn, commands: Sequence[Command]) -> Sequence[Command]:
    """Tell each command who else holds what it claims: by the table, or by an earlier command of the batch."""
    return await _beside_items(conn, await _beside_numbers(conn, commands))


async def _beside_numbers(conn: Conn, commands: Sequence[Command]) -> Sequence[Command]:
    claims = [claim_of(command) if isinstance(command, _CLAIMING) else None for command in commands]
    wanted = {claim for claim in claims if claim is not None}
    if not wanted:
        return commands
    recorded = await _recorded(conn, wanted)
    batch: dict[Claim, list[Command]] = {}
    prepared: list[Command] = []
    for command, claim in zip(commands, claims, strict=True):
        if claim is None:
            prepared.append(command)
            continue
        earlier = batch.setdefault(claim, [])
        if earlier or claim in recorded:  # Seldom: most numbers are new.
            holders = [Holder(claim, stream, recorded=True) for stream in recorded.get(claim, ())]
            holders += [Holder(claim, other.stream, recorded=False) for other in earlier]
            others = tuple(holder for holder in holders if holder.stream != command.stream)
            prepared.append(msgspec.structs.replace(command, holders=others) if others else command)
        else:
            prepared.append(command)
        earlier.append(command)
    return prepared


async def _beside_items(conn: Conn, commands: Sequence[Command]) -> Sequence[Command]:
    """An invoice and a release are both items under their ids: neither may have the id of the other.

    Looked up whatever the branch: streams and claims are not hidden, and no more is told than that the id is taken.
    """
    issuing = [msgspec.to_builtins(c.invoice_id) for c in commands if isinstance(c, IssueInvoice)]
    releasing = [invoice_stream(c.release_id) for c in commands if isinstance(c, ReleaseRetainage)]
    if not issuing and not releasing:
        return commands
    taken = {row["claim"]: row["stream"] for row in await conn.fetch(_ITEMS, _json(issuing), _json(releasing))}
    if not taken:
        return commands
    prepared: list[Command] = []
    for command in commands:
        match command:
            case IssueInvoice(invoice_id=item_id) | ReleaseRetainage(release_id=item_id):
                name = str(item_id) if isinstance(command, IssueInvoice) else invoice_stream(item_id)
                if name in taken:
                    held = Holder(release_id(item_id), taken[name], recorded=True)
                    command = msgspec.structs.replace(command, holders=(*command.holders, held))
            case _:
                pass
        prepared.append(command)
    return prepared


async def index(conn: Conn, facts: Sequence[Fact]) -> None:
    """Record what the facts claim, within their transaction.

    Errors   asyncpg.UniqueViolationError where another was faster, which the store takes for a conflict.
    """
    claims = dict(found for fact in facts if (found := _claim_in(fact)) is not None)
    if not claims:
        return
    # In order, so that two batches that claim the same values wait for each other instead of deadlocking.
    rows = sorted((c.kind, c.scope, c.value, stream) for c, stream in claims.items())
    await conn.execute(_INSERT, *map(_json, zip(*rows, strict=True)))


def claim_of(command: OpenAccount | IssueInvoice | CreditInvoice | ReleaseRetainage) -> Claim:
    """What the command wants for its stream alone."""
    match command:
        case OpenAccount():
            return account_number(command.number)
        case IssueInvoice():
            return invoice_number(command.branch, command.number)
        case CreditInvoice() | ReleaseRetainage():
            return command.claim


async def _recorded(conn: Conn, wanted: set[Claim]) -> dict[Claim, list[str]]:
    columns = zip(*((c.kind, c.scope, c.value) for c in wanted), strict=True)
    rows = await conn.fetch(_LOOK_UP, *map(_json, columns))
    return {Claim(row["kind"], row["scope"], row["value"]): [row["stream"]] for row in rows}


def _json(column: Sequence[str]) -> str:
    """A column of texts as one argument: asyncpg spends ten times as long on each element of an array."""
    return _ENCODER.encode(column).decode()


def _claim_in(fact: Fact) -> tuple[Claim, str] | None:
    """What the fact claims, and for which stream."""
    match fact:
        case AccountOpened():
            return account_number(fact.number), account_stream(fact.account_id)
        case InvoiceIssued():
            return invoice_number(fact.branch, fact.number), invoice_stream(fact.item.invoice_id)
        case CreditNoteIssued():
            return Claim("credit_note_id", "", str(fact.credit_note_id)), invoice_stream(fact.item.invoice_id)
        case RetainageReleased():
            return release_id(fact.item.item_id), invoice_stream(fact.item.invoice_id)
        case _:
            return None


_ENCODER: Final = msgspec.json.Encoder()
# By key, one by one: for a join Postgres might read every claim there is.
_LOOK_UP: Final = """
SELECT w.kind, w.scope, w.value, c.stream
FROM ROWS FROM (
    json_array_elements_text($1::json), json_array_elements_text($2::json), json_array_elements_text($3::json)
) AS w(kind, scope, value)
CROSS JOIN LATERAL (
    SELECT stream FROM claims WHERE kind = w.kind AND scope = w.scope AND value = w.value OFFSET 0
) c
"""
_ITEMS: Final = """
SELECT value AS claim, stream FROM claims
WHERE kind = 'release_id' AND scope = '' AND value = ANY (ARRAY(SELECT json_array_elements_text($1::json)))
UNION ALL
SELECT stream, stream FROM streams WHERE stream = ANY (ARRAY(SELECT json_array_elements_text($2::json)))
"""
# Without ON CONFLICT, which looks for each claim before it makes it: 7 us of Postgres's time, not 4.
_INSERT: Final = """
INSERT INTO claims (kind, scope, value, stream)
SELECT * FROM ROWS FROM (
    json_array_elements_text($1::json), json_array_elements_text($2::json), json_array_elements_text($3::json),
    json_array_elements_text($4::json)
)
"""
