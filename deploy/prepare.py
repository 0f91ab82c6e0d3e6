"""Databases and topics, made ready before any service starts: the job `init` of compose, a step of the demonstration.

Safe to repeat. Whoever starts services again after an upgrade runs it first.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Final

from kafka.errors import KafkaError

from events.topics import SERVICES
from services.kernel.migrate import create_database, migrate
from services.kernel.settings import database_url
from services.kernel.topics import create_topics
from services.kernel.transient import is_transient

DATABASES: Final = (*SERVICES, "projections")
SERVERS_S_MAX: Final = 120.0  # Servers that were just started: a cluster first elects its leaders.
_RETRY_S: Final = 1.0


async def prepare(postgres: str, kafka: str, topic_prefix: str, *, replication: int = 1) -> None:
    """Every database, migrated, and every topic.

    Errors   whatever Postgres or Kafka says; TopicPartitions, MigrationChanged: somebody has to mend those.
    """
    await asyncio.gather(*(_database(postgres, service) for service in DATABASES))
    await asyncio.to_thread(create_topics, kafka, topic_prefix, replication_factor=replication)


async def _database(postgres: str, service: str) -> None:
    url = database_url(postgres, service)
    await create_database(url)
    await migrate(url, service)


def main() -> int:
    """Prepare what the environment names; servers that are still starting are waited for."""
    until = time.monotonic() + SERVERS_S_MAX
    while True:
        try:
            asyncio.run(
                prepare(
                    os.environ["OPENITEM_POSTGRES"],
                    os.environ["OPENITEM_KAFKA"],
                    os.environ.get("OPENITEM_TOPIC_PREFIX", "openitem"),
                    replication=int(os.environ.get("OPENITEM_REPLICATION", "1")),
                )
            )
        except KeyError as error:
            sys.stderr.write(f"{error.args[0]} is not set\n")
            return os.EX_CONFIG
        except Exception as error:
            if not (is_transient(error) or isinstance(error, KafkaError)) or time.monotonic() > until:
                raise
            sys.stderr.write(f"waiting for {type(error).__name__} to pass\n")
            time.sleep(_RETRY_S)
        else:
            sys.stdout.write("databases and topics are ready\n")
            return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
