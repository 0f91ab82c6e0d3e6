"""Real servers on one machine, with nothing installed but Python packages: PostgreSQL, Kafka, a supervisor."""

from deploy.embedded.kafka import Kafka, kafka_cluster
from deploy.embedded.locks import AlreadyRunning
from deploy.embedded.ports import PortBusy
from deploy.embedded.postgres import Postgres
from deploy.embedded.server import ServerFailed

__all__ = ["AlreadyRunning", "Kafka", "PortBusy", "Postgres", "ServerFailed", "kafka_cluster"]
