"""The worker: relay, the consumer of what others say of invoices and payments, and the timer of promises."""

from __future__ import annotations

from typing import Final

from services.contact import overdue
from services.contact.consumer import consumer
from services.contact.lookups import index
from services.kernel.delivery import ConsumerSpec, Timer
from services.kernel.serve import read_settings
from services.kernel.settings import Settings
from services.kernel.store import Store
from services.kernel.worker import run_worker

TIMERS: Final = [Timer("promises_overdue", overdue.EVERY_S, overdue.find_overdue)]
SIGNALS: Final = {overdue.SIGNAL: overdue.break_overdue}


def consumers(store: Store) -> list[ConsumerSpec]:
    return [ConsumerSpec("contact", ("invoice", "payment"), consumer(store))]


def main() -> None:
    settings = read_settings(Settings, "contact")
    run_worker(settings, index=index, consumers=consumers, timers=TIMERS, signals=SIGNALS)


if __name__ == "__main__":
    main()
