"""Who may do what: the permissions of every role. Branches limit them further.

Cash handling, posting and write-offs are kept apart: only a controller or an administrator holds more than one.
Source   domain: two-person rules and segregation of duties (OU cash audit; ARS textbook).
"""

from __future__ import annotations

from typing import Final

READ: Final = frozenset({"report.read"})
_CHASE: Final = frozenset({"contact.log", "promise.write", "dispute.write", "follow_up.write"})
_BILL: Final = frozenset({"account.write", "job.write", "invoice.issue", "invoice.credit", "retainage.release"})
_CASH: Final = frozenset({"receipt.record", "receipt.apply"})

_COLLECTOR: Final = READ | _CHASE | {"step.advance", "hold.place", "placement.write", "write_off.request"}
_BILLING: Final = READ | _BILL | _CASH | _CHASE
_CONTROLLER: Final = (
    _COLLECTOR
    | _BILLING
    | {"branch.register", "invoice.void", "receipt.reverse", "receipt.refund"}
    | {"hold.release", "write_off.approve", "write_off.reverse", "import.run"}
)

ROLES: Final[dict[str, frozenset[str]]] = {
    "collector": _COLLECTOR,
    "billing": _BILLING,
    "service_desk": READ | {"contact.log", "follow_up.write"},
    "branch_manager": READ | _CHASE | {"hold.place", "hold.release", "write_off.request"},
    "controller": _CONTROLLER,
    "auditor": READ | {"log.read"},
    "integration": _BILLING | {"branch.register", "import.run", "log.read", "receipt.reverse"},
    "admin": _CONTROLLER | {"log.read", "operate"},
}
