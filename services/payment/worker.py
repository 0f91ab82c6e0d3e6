"""The worker: relay, the consumers that keep items as other services say, and the watch over the laws."""

from __future__ import annotations

from typing import Final

from services.kernel.delivery import ConsumerSpec, Timer
from services.kernel.policy import policy_handler
from services.kernel.serve import read_settings
from services.kernel.settings import Settings
from services.kernel.store import Store
from services.kernel.worker import run_worker
from services.payment.domain import DOMAIN
from services.payment.laws import Watch
from services.payment.policy import ACTOR, when

# Often enough that a broken law is known before the day's posting goes on, seldom enough to cost nothing.
LAWS_EVERY_S: Final = 30.0


def consumers(store: Store) -> list[ConsumerSpec]:
    """One for each topic: a write-off that waits for its item never holds up the invoices that bring it."""
    handler = policy_handler(store, DOMAIN, when, ACTOR)
    return [
        ConsumerSpec("payment-invoice", ("invoice",), handler),
        ConsumerSpec("payment-escalation", ("escalation",), handler),
    ]


def main() -> None:
    settings = read_settings(Settings, "payment")
    run_worker(settings, consumers=consumers, timers=[Timer("laws", LAWS_EVERY_S, Watch().look)])


if __name__ == "__main__":
    main()
