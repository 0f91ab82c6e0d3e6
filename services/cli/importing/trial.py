"""What a dry run can tell without sending: every record held against the row its service takes, and invoices, receipts
and what follows from them decided by the services' own rules, on books that begin empty.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, Final

import msgspec

from events.envelope import Fact
from events.topics import SERVICES
from services.cli.importing.ledger import KINDS, Problem
from services.cli.importing.mapping import Record
from services.kernel.bulk import BulkKind
from services.kernel.commands import Domain
from services.kernel.errors import Kind, Refused
from services.kernel.rows import Rejected, Row, typed
from services.kernel.store import Arriving

_NOBODY: Final = "dry-run"
# Services that can decide with nothing but their own streams. The others look up what they know of items elsewhere.
_DECIDING: Final = ("invoice", "payment")


class Trial:
    """The books of one dry run. Memory grows with the ledger: about 2 KB an invoice."""

    def __init__(self) -> None:
        self._states: dict[str, dict[str, Any]] = {service: {} for service in _DECIDING}
        self._claims: dict[Any, list[str]] = {}

    def check(self, kind: str, line: int, record: Record) -> Problem | None:
        """What is wrong with a record, or None.

        What it names and this ledger does not hold is no problem here: the books that it is sent to may have it.
        """
        bulk = _kinds()[kind]
        for name in record:
            if name not in bulk.row.__struct_fields__:
                return Problem(line, kind, name, "row_field_invalid", "there is no such field")
        row = typed(Row(line, dict(record)), bulk.row)
        if isinstance(row, Rejected):
            return Problem(line, kind, row.field, row.code, row.message)
        try:
            command = bulk.command_of(row, _NOBODY)
            if (service := KINDS[kind]) in _DECIDING:
                self._decide(service, bulk.domain, command)
        except Refused as refused:
            if isinstance(refused, Arriving) or refused.kind is Kind.UNKNOWN:
                return None
            return Problem(line, kind, refused.field, refused.code, refused.message)
        return None

    def _decide(self, service: str, domain: Domain[Any, Any], command: Any) -> None:
        if service == "invoice":
            command = self._claimed(command)
        for fact in self._take(service, domain, command):
            # The payment service learns of an invoice by its facts; here it does so at once.
            if service == "invoice":
                for following in import_module("services.payment.policy").commands_of(fact):
                    self._take("payment", _kinds()["receipts"].domain, following)

    def _take(self, service: str, domain: Domain[Any, Any], command: Any) -> list[Fact]:
        """Decide one command and fold what follows. Errors: what the domain refuses."""
        states = self._states[service]
        while missing := [name for name in domain.needs(command, states) if name not in states]:
            states.update(dict.fromkeys(missing, domain.initial))
        facts: list[Fact] = []
        for stream, decided in domain.decide(command, states).items():
            for fact in decided:
                states[stream] = domain.evolve(states[stream], fact)
                facts.append(fact)
        return facts

    def _claimed(self, command: Any) -> Any:
        """The command with those that may hold the same number: earlier rows of this ledger."""
        if not hasattr(command, "holders"):
            return command
        claim = import_module("services.invoice.claims").claim_of(command)
        earlier = self._claims.setdefault(claim, [])
        holder = import_module("services.invoice.domain.claim").Holder
        others = tuple(holder(claim, stream, recorded=False) for stream in earlier if stream != command.stream)
        earlier.append(command.stream)
        return msgspec.structs.replace(command, holders=others) if others else command


@cache
def _kinds() -> dict[str, BulkKind[Any, Any]]:
    # Imported only when asked: the services' modules are many, and the program's other commands need none of them.
    modules = [import_module(f"services.{service}.imports") for service in SERVICES]
    return {kind.name: kind for module in modules for kind in module.KINDS}
