"""Given facts, when a command, then facts or a refusal: how every domain is tested, without a server.

given = Scenario(DOMAIN).given
given(issued()).when(void()).then(voided())
given(issued()).when(credit("1000.01")).refused_as(Overcredited)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import pytest

from events import contact, escalation, invoice, payment
from events.codec import decode, encode, wire_of
from events.envelope import Fact
from services.kernel.commands import Domain
from services.kernel.errors import Refused

C = TypeVar("C")
S = TypeVar("S")


def stream_of(fact: Fact) -> str:
    """The stream that a fact belongs to, by the names all services agreed on."""
    match fact:
        case invoice.BranchRegistered():
            return f"branch-{fact.branch}"
        case invoice.AccountOpened() | invoice.AccountChanged():
            return f"account-{fact.account_id}"
        case invoice.JobOpened():
            return f"job-{fact.job_id}"
        case (
            invoice.InvoiceIssued() | invoice.CreditNoteIssued() | invoice.InvoiceVoided() | invoice.RetainageReleased()
        ):
            return f"invoice-{fact.item.invoice_id}"
        case payment.ItemOpened() | payment.ItemChanged():
            return f"item-{fact.item.item_id}"
        case (
            payment.PaymentReceived()
            | payment.PaymentIdentified()
            | payment.PaymentApplied()
            | payment.PaymentUnapplied()
            | payment.PaymentReversed()
            | payment.PaymentRefunded()
        ):
            return f"receipt-{fact.receipt_id}"
        case contact.AttemptLogged():
            return f"attempt-{fact.attempt_id}"
        case (
            contact.PromiseMade()
            | contact.PromisePaid()
            | contact.PromiseKept()
            | contact.PromiseBroken()
            | contact.PromiseCancelled()
        ):
            return f"promise-{fact.promise_id}"
        case contact.DisputeOpened() | contact.DisputeResolved():
            return f"dispute-{fact.dispute_id}"
        case contact.FollowUpScheduled() | contact.FollowUpDone():
            return f"follow-up-{fact.follow_up_id}"
        case escalation.StepAdvanced():
            return f"delinquency-{fact.item_id}"
        case escalation.HoldPlaced() | escalation.HoldReleased():
            return f"hold-{fact.account_id}"
        case (
            escalation.PlacedWithAgency()
            | escalation.RecoveryReported()
            | escalation.PlacementRecalled()
            | escalation.PlacementClosed()
        ):
            return f"placement-{fact.placement_id}"
        case (
            escalation.WriteOffRequested()
            | escalation.WriteOffApproved()
            | escalation.WriteOffRejected()
            | escalation.WriteOffReversed()
        ):
            return f"write-off-{fact.write_off_id}"
        case _:
            raise AssertionError(f"{type(fact).__name__} has no stream here: add it")


class Scenario(Generic[C, S]):
    """Scenarios of one domain. `prepare` is not run: give commands as it would leave them."""

    def __init__(self, domain: Domain[C, S], stream_of: Callable[[Fact], str] = stream_of) -> None:
        self.domain = domain
        self.stream_of = stream_of

    def given(self, *facts: Fact) -> Given[C, S]:
        """These facts are on record, in this order."""
        return Given(self, facts)


class Given(Generic[C, S]):
    """A history. `states` folds it; `when` asks the domain."""

    def __init__(self, scenario: Scenario[C, S], facts: tuple[Fact, ...]) -> None:
        self.scenario = scenario
        self.facts = facts

    @property
    def states(self) -> dict[str, S]:
        """The state of every stream that the history has."""
        states: dict[str, S] = {}
        for fact in self.facts:
            # What a service folds has been on disk: a fact that does not survive the wire is no fact.
            stored = decode(wire_of(fact), encode(fact))
            name = self.scenario.stream_of(fact)
            domain = self.scenario.domain
            states[name] = domain.evolve(states.get(name, domain.initial), stored)
        return states

    def when(self, command: C) -> When[C, S]:
        """Ask the domain to decide; nothing is judged until `then` or `refused_as`."""
        return When(self, command)


class When(Generic[C, S]):
    """A command upon a history."""

    def __init__(self, given: Given[C, S], command: C) -> None:
        self.given = given
        self.command = command

    def decided(self) -> list[Fact]:
        """The facts that follow, stream by stream. The domain sees only the streams it says it needs."""
        domain, known = self.given.scenario.domain, self.given.states
        seen: dict[str, S] = {}
        while missing := [n for n in domain.needs(self.command, seen) if n not in seen]:
            seen.update((name, known.get(name, domain.initial)) for name in missing)
        decided: list[Fact] = []
        for stream, facts in domain.decide(self.command, seen).items():
            assert stream in seen, f"decides on {stream} without having needed it"
            for fact in facts:
                assert self.given.scenario.stream_of(fact) == stream, f"{type(fact).__name__} on {stream}"
            decided.extend(facts)
        return decided

    def then(self, *facts: Fact) -> Given[C, S]:
        """Exactly these facts follow; none means that all is on record already. Answers the longer history."""
        decided = self.decided()
        assert decided == list(facts), "\n".join(["decided:", *map(repr, decided), "expected:", *map(repr, facts)])
        longer = Given(self.given.scenario, (*self.given.facts, *decided))
        assert longer.states is not None  # The domain can fold what it decided.
        return longer

    def refused_as(self, refusal: type[Refused], *, field: str | None = None) -> Refused:
        """Refused with exactly this class; answers the refusal, for its members."""
        with pytest.raises(Refused) as caught:
            self.decided()
        refused = caught.value
        assert type(refused) is refusal, f"refused as {type(refused).__name__}, not {refusal.__name__}: {refused}"
        assert field is None or refused.field == field, f"the field is {refused.field}, not {field}"
        return refused
