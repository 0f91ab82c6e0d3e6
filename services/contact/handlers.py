"""Carry out the service's commands: the domain as a value, and the note that may come with a command."""

from __future__ import annotations

from typing import Final

from events.contact import AttemptLogged, DisputeOpened, FollowUpScheduled
from services.contact import notes
from services.contact.domain import ABSENT, Command, State, decide, evolve, needs, subject
from services.contact.domain.attempt import LogAttempt
from services.contact.domain.dispute import OpenDispute
from services.contact.domain.follow_up import ScheduleFollowUp
from services.contact.prepare import prepare
from services.kernel.commands import Domain, decider
from services.kernel.look import look as look_at
from services.kernel.meta import Branches, Meta
from services.kernel.store import Decision, Loaded, Recorded, Store, Streams
from services.kernel.together import carry_out

DOMAIN: Final[Domain[Command, State]] = Domain(
    initial=ABSENT, subject=subject, needs=needs, decide=decide, evolve=evolve, prepare=prepare
)
Noted = LogAttempt | OpenDispute | ScheduleFollowUp


async def handle(store: Store, meta: Meta, command: Command) -> Recorded:
    """Carry out one command. Errors: what the domain refuses, and those of `together.carry_out`."""
    return await carry_out(store, meta, DOMAIN, command)


async def handle_noted(store: Store, meta: Meta, command: Noted, body: str | None) -> Recorded:
    """The same with the note that `command.note_id` names, kept in the same transaction: both are there, or neither."""
    note_id = command.note_id
    if body is None or note_id is None:
        return await handle(store, meta, command)
    deciding = decider(DOMAIN, command, meta.if_match)

    async def decide_and_keep(streams: Streams) -> Decision:
        decision = await deciding(streams)
        for fact in (fact for change in decision.changes for fact in change.facts):
            assert isinstance(fact, AttemptLogged | DisputeOpened | FollowUpScheduled), "only these carry notes"
            await notes.keep(streams.conn, note_id, fact.account_id, fact.branch, body, meta.actor)
        return decision

    return await store.execute(meta, decide_and_keep)


async def look(store: Store, branches: Branches, stream: str) -> Loaded[State]:
    """The state of a stream that exists. Errors: Unknown, also where the caller may not see it."""
    return await look_at(store, DOMAIN, branches, stream)
