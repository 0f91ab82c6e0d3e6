"""Give commands what the rules must know beside streams: the mirror's accounts and items, and what look-ups hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from msgspec.structs import replace

from events.money import Money
from services.contact.domain import Command
from services.contact.domain.attempt import LogAttempt
from services.contact.domain.counting import CountPayment, TakeBackReceipt, UncountPayment
from services.contact.domain.dispute import OpenDispute
from services.contact.domain.ended_item import EndItem
from services.contact.domain.follow_up import ScheduleFollowUp
from services.contact.domain.named import Named
from services.contact.domain.promise import MakePromise
from services.contact.lookups import billed_of, disputes_over, promises_over, take_turns
from services.contact.receipts import applied_to, dates_of, ended_among, items_of_receipts, since
from services.kernel.store import Conn
from services.mirror.known import KnownAccount, KnownItem, accounts_of, items_of

_Naming = LogAttempt | MakePromise | OpenDispute | ScheduleFollowUp
_Following = CountPayment | UncountPayment | TakeBackReceipt | EndItem


async def prepare(conn: Conn, commands: Sequence[Command]) -> Sequence[Command]:
    """The same commands in the same order, with what they need to know filled in. Asks as often for many as for one."""
    prepared = list(commands)
    naming = [(at, c) for at, c in enumerate(commands) if isinstance(c, _Naming)]
    if naming:
        for (at, _), command in zip(naming, await _name(conn, [c for _, c in naming]), strict=True):
            prepared[at] = command
    following = [(at, c) for at, c in enumerate(commands) if isinstance(c, _Following)]
    if following:
        for (at, _), policy in zip(following, await _follow(conn, [c for _, c in following]), strict=True):
            prepared[at] = policy
    return prepared


async def _name(conn: Conn, commands: Sequence[_Naming]) -> Sequence[_Naming]:
    """Commands of people and imports, which name accounts and items."""
    bound = {i for c in commands if isinstance(c, MakePromise | OpenDispute) for i in _items(c)}
    # Before anything is looked up: what was decided before our turn must be seen.
    await take_turns(conn, bound, alone=True)
    accounts = await accounts_of(conn, [c.account_id for c in commands if c.account_id is not None])
    items = await items_of(conn, [item_id for c in commands for item_id in _items(c)])
    historic = {i for c in commands if isinstance(c, MakePromise | OpenDispute) and c.historic for i in _items(c)}
    billed = await billed_of(conn, historic) if historic else {}
    named = [replace(c, named=_named(c, accounts, items, billed)) for c in commands]
    promised = await _beside_promises(conn, named)
    return await _beside_disputes(conn, promised)


def _items(command: _Naming) -> tuple[UUID, ...]:
    return (command.item_id,) if isinstance(command, OpenDispute) else command.item_ids


def _named(
    command: _Naming,
    accounts: Mapping[UUID, KnownAccount],
    items: Mapping[UUID, KnownItem],
    billed: Mapping[UUID, Money],
) -> Named:
    mentioned = sorted(set(_items(command)))
    return Named(
        account=accounts.get(command.account_id) if command.account_id is not None else None,
        items=tuple(items[item_id] for item_id in mentioned if item_id in items),
        billed=tuple((item_id, billed[item_id]) for item_id in mentioned if item_id in billed),
    )


async def _beside_promises(conn: Conn, commands: Sequence[_Naming]) -> Sequence[_Naming]:
    """Every promise learns of the others over its items, of this batch too, and of what was paid since it was made."""
    making = [c for c in commands if isinstance(c, MakePromise)]
    if not making:
        return commands
    item_ids = {item_id for c in making for item_id in c.item_ids}
    over = defaultdict(set, await promises_over(conn, item_ids))
    for c in making:
        for item_id in c.item_ids:
            over[item_id].add(c.promise_id)
    applied = await applied_to(conn, item_ids)
    return [
        replace(
            c,
            beside=_union(over, c.item_ids, but=c.promise_id),
            received=tuple(since(c.made_on, (a for i in sorted(set(c.item_ids)) for a in applied.get(i, ())))),
        )
        if isinstance(c, MakePromise)
        else c
        for c in commands
    ]


async def _beside_disputes(conn: Conn, commands: Sequence[_Naming]) -> Sequence[_Naming]:
    """Every dispute of today learns of the others over its item. History is not held against what is open."""
    opening = [c for c in commands if isinstance(c, OpenDispute) and not c.historic]
    if not opening:
        return commands
    over = defaultdict(set, await disputes_over(conn, {c.item_id for c in opening}))
    for c in opening:
        over[c.item_id].add(c.dispute_id)
    return [
        replace(c, beside=_union(over, [c.item_id], but=c.dispute_id))
        if isinstance(c, OpenDispute) and not c.historic
        else c
        for c in commands
    ]


async def _follow(conn: Conn, commands: Sequence[_Following]) -> Sequence[_Following]:
    """Commands that follow from payment facts. The receipts' and items' own tables were folded before this."""
    taken = await items_of_receipts(conn, [c.receipt_id for c in commands if isinstance(c, TakeBackReceipt)])
    item_ids = {i for c in commands for i in _concerned(c, taken)}
    # Together with others like it, but not while a promise over one of the items is being put on record.
    await take_turns(conn, item_ids, alone=False)
    over = await promises_over(conn, item_ids)
    ending = [c for c in commands if isinstance(c, EndItem)]
    disputes = await disputes_over(conn, {c.item_id for c in ending}) if ending else {}
    ended = await ended_among(conn, {p for c in ending for p in over.get(c.item_id, ())}) if ending else frozenset()
    dates = await dates_of(conn, [c.receipt_id for c in commands if isinstance(c, CountPayment)])
    prepared: list[_Following] = []
    for c in commands:
        promises = _union(over, _concerned(c, taken))
        match c:
            case CountPayment():
                received_on = dates.get(c.receipt_id, c.received_on)
                prepared.append(replace(c, promises=promises, received_on=received_on))
            case EndItem():
                contesting = _union(disputes, [c.item_id])
                prepared.append(replace(c, promises=promises, disputes=contesting, ended=tuple(sorted(ended))))
            case UncountPayment() | TakeBackReceipt():
                prepared.append(replace(c, promises=promises))
    return prepared


def _concerned(command: _Following, taken: Mapping[UUID, set[UUID]]) -> Collection[UUID]:
    """The items that a payment fact is about."""
    return taken.get(command.receipt_id, ()) if isinstance(command, TakeBackReceipt) else (command.item_id,)


def _union(over: Mapping[UUID, set[UUID]], item_ids: Collection[UUID], but: UUID | None = None) -> tuple[UUID, ...]:
    found = {noun_id for item_id in item_ids for noun_id in over.get(item_id, ())}
    return tuple(sorted(found - {but} if but is not None else found))
