"""The worker: the relay, and the consumer of what others say of invoices, payments, disputes and promises."""

from __future__ import annotations

from services.escalation.consumer import consumer
from services.escalation.lookups import index
from services.kernel.delivery import ConsumerSpec
from services.kernel.serve import read_settings
from services.kernel.settings import Settings
from services.kernel.store import Store
from services.kernel.worker import run_worker


def consumers(store: Store) -> list[ConsumerSpec]:
    return [ConsumerSpec("escalation", ("invoice", "payment", "contact"), consumer(store))]


def main() -> None:
    run_worker(read_settings(Settings, "escalation"), index=index, consumers=consumers)


if __name__ == "__main__":
    main()
