"""Give commands what the rules must know beside streams: items by the mirror, policies, who has an item."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from events.money import Money
from services.escalation.domain import Command
from services.escalation.domain.day import Dated
from services.escalation.domain.hold import PlaceHold
from services.escalation.domain.placing import PlaceWithAgency
from services.escalation.domain.recovery import CountPayment
from services.escalation.domain.seen import Seen
from services.escalation.domain.step import AdvanceStep
from services.escalation.domain.write_off import RequestWriteOff
from services.kernel.store import Conn
from services.mirror.known import accounts_of, all_timezones, items_of

_ANY_BRANCH: Final = "*"


async def prepare(conn: Conn, commands: Sequence[Command]) -> Sequence[Command]:
    """The same commands in the same order, with what they need to know filled in. Asks as often for many as for one."""
    # Before anything is looked up: a payment that is being counted and a placement that is being decided must see each
    # other, whichever comes first. Payments wait for placements, not for each other.
    await _take_turns(conn, [i for c in commands if isinstance(c, PlaceWithAgency) for i in _items(c)], alone=True)
    await _take_turns(conn, [c.item_id for c in commands if isinstance(c, CountPayment)], alone=False)
    seen = await _seen(conn, commands)
    counting = [c for c in commands if isinstance(c, CountPayment)]
    placed = await _placements(conn, {c.item_id for c in counting}) if counting else {}
    dates = await _receipt_dates(conn, {c.receipt_id for c in counting}) if counting else {}
    labels = await _labels(conn) if any(isinstance(c, AdvanceStep) for c in commands) else {}
    minimums = await _minimums(conn) if any(isinstance(c, PlaceWithAgency) for c in commands) else {}
    accounts = await accounts_of(conn, [c.account_id for c in commands if isinstance(c, PlaceHold)])
    undated = any(isinstance(c, Dated) and c.on is None for c in commands)
    zones = await all_timezones(conn) if undated else {}
    prepared: list[Command] = []
    for c in commands:
        known: Command
        match c:
            case AdvanceStep(item_id=item_id):
                one = seen.get(item_id)
                branch = one.item.branch if one is not None else _ANY_BRANCH
                known = replace(c, seen=one, labels=labels.get(branch) or labels.get(_ANY_BRANCH, ()))
            case PlaceWithAgency():
                items = tuple(seen[i] for i in _items(c) if i in seen)
                known = replace(c, seen=items, minimum=_minimum(minimums, items))
            case RequestWriteOff(item_id=item_id):
                known = replace(c, seen=seen.get(item_id))
            case PlaceHold(account_id=account_id):
                account = accounts.get(account_id)
                known = replace(c, branch=account.branch if account is not None else None)
            case CountPayment(item_id=item_id):
                after = tuple(p for p, at in placed.get(item_id, ()) if c.change.minor < 0 or at <= c.recorded_at)
                known = replace(c, placements=after, received_on=dates.get(c.receipt_id, c.on))
            case _:
                known = c
        if isinstance(known, Dated) and known.on is None:
            known = replace(known, zones=zones)
        prepared.append(known)
    return prepared


def _items(command: PlaceWithAgency) -> list[UUID]:
    return [placing.item_id for placing in command.items]


async def _seen(conn: Conn, commands: Sequence[Command]) -> dict[UUID, Seen]:
    """Every item that a command names, with what stands in the way of it."""
    named: set[UUID] = set()
    placing: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for command in commands:
        match command:
            case AdvanceStep(item_id=item_id) | RequestWriteOff(item_id=item_id):
                named.add(item_id)
            case PlaceWithAgency(placement_id=placement_id):
                for item_id in _items(command):
                    placing[item_id].add(placement_id)
            case _:
                pass
    named |= placing.keys()
    if not named:
        return {}
    items = await items_of(conn, named)
    contested = {row[0] for row in await conn.fetch(_CONTESTED, sorted(named))}
    promised = {row[0] for row in await conn.fetch(_PROMISED, sorted(named))}
    placed = await _placements(conn, named, open_only=True)
    return {
        item_id: Seen(
            item=known.item,
            open=known.open,
            disputed=item_id in contested,
            promised=item_id in promised,
            placements=tuple(sorted({p for p, _ in placed.get(item_id, ())} | placing.get(item_id, set()))),
        )
        for item_id, known in items.items()
    }


async def _placements(
    conn: Conn, item_ids: Collection[UUID], *, open_only: bool = False
) -> Mapping[UUID, list[tuple[UUID, datetime]]]:
    """The placements of each item with when they were put on record, oldest first."""
    found: defaultdict[UUID, list[tuple[UUID, datetime]]] = defaultdict(list)
    for row in await conn.fetch(_PLACEMENTS, sorted(item_ids), open_only):
        found[row["item_id"]].append((row["placement_id"], row["placed_at"]))
    return found


async def _receipt_dates(conn: Conn, receipt_ids: Collection[UUID]) -> dict[UUID, date]:
    rows = await conn.fetch(
        "SELECT receipt_id, received_on FROM receipt_date WHERE receipt_id = ANY ($1::uuid[])", sorted(receipt_ids)
    )
    return {row["receipt_id"]: row["received_on"] for row in rows}


async def _labels(conn: Conn) -> dict[str, tuple[str, ...]]:
    """The labels of every policy: a few rows for each of some hundred branches at most."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in await conn.fetch("SELECT branch, label FROM dunning_step ORDER BY branch, step"):
        found[row["branch"]].append(row["label"])
    return {branch: tuple(labels) for branch, labels in found.items()}


async def _minimums(conn: Conn) -> dict[tuple[str, str], Money]:
    rows = await conn.fetch("SELECT branch, currency, minimum_minor FROM placement_minimum")
    return {(row["branch"], row["currency"]): Money(row["minimum_minor"], row["currency"]) for row in rows}


def _minimum(minimums: Mapping[tuple[str, str], Money], items: Sequence[Seen]) -> Money | None:
    if not items:
        return None
    branch, currency = items[0].item.branch, items[0].open.currency
    return minimums.get((branch, currency), minimums.get((_ANY_BRANCH, currency)))


async def _take_turns(conn: Conn, item_ids: Collection[UUID], *, alone: bool) -> None:
    """Hold the items' turns until the transaction ends, in order, so that two that meet wait in the same place."""
    if item_ids:
        await conn.execute(_ALONE if alone else _TOGETHER, [str(item_id) for item_id in set(item_ids)])


_CONTESTED: Final = "SELECT item_id FROM contested_item WHERE is_open AND item_id = ANY ($1::uuid[])"
_PROMISED: Final = "SELECT item_id FROM promised_item WHERE is_open AND item_id = ANY ($1::uuid[])"
_PLACEMENTS: Final = """
SELECT item_id, placement_id, placed_at FROM placed_item
WHERE item_id = ANY ($1::uuid[]) AND (NOT $2 OR NOT ended)
ORDER BY placed_at, placement_id
"""
# A batch names thousands of items; Postgres keeps room for a few thousand locks in all.
_ALONE: Final = """
SELECT count(pg_advisory_xact_lock(7368464, turn))
FROM (SELECT DISTINCT hashtext(i) & 63 AS turn FROM unnest($1::text[]) AS t(i) ORDER BY turn) s
"""
_TOGETHER: Final = _ALONE.replace("pg_advisory_xact_lock", "pg_advisory_xact_lock_shared")
