"""Run PostgreSQL and Kafka until Ctrl-C, for test runs that should not each start their own."""

import signal
import sys
import threading

from deploy.embedded import Kafka, Postgres


def main() -> None:
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    with Postgres(durable=False) as postgres, Kafka() as kafka:
        sys.stdout.write(f"export OPENITEM_POSTGRES={postgres.url}\nexport OPENITEM_KAFKA={kafka.bootstrap}\n")
        sys.stdout.flush()
        asked.wait()


if __name__ == "__main__":
    main()
